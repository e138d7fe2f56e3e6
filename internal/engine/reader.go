package engine

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/posthouse-mail/posthouse/message"
)

// Reader reads many bodies, best in the order in which they were written, with
// less work than Open has with each: it looks many up at a time and reads
// segments ahead. It is for one goroutine, holds at most 128 KiB beside what
// Prepare found, and must be closed.
type Reader struct {
	e     *Engine
	blobs map[BlobID]blob
	ahead ahead
	id    BlobID
	body  *openBody // of id; nil: none
}

// NewReader returns a reader.
func (e *Engine) NewReader() *Reader { return &Reader{e: e, blobs: make(map[BlobID]blob)} }

// Prepare looks up the bodies that Open is going to be asked for, and forgets
// those of the time before. The caller bounds how many they are.
func (r *Reader) Prepare(ids []BlobID) error {
	clear(r.blobs)
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = blobKey(id)
	}
	return r.e.getMany(keys, func(i int, v []byte) error {
		b, err := parseBlob(v)
		r.blobs[ids[i]] = b
		return err
	})
}

// Open opens a body, which is valid until the next call of Open or Close. Its
// errors are those of Engine.Open.
func (r *Reader) Open(id BlobID) (message.Body, error) {
	if r.body != nil && r.id == id {
		return r.body, nil
	}
	r.closeBody()
	body, err := r.open(id)
	if err != nil {
		return nil, err
	}
	r.id, r.body = id, body
	return body, nil
}

func (r *Reader) open(id BlobID) (*openBody, error) {
	if b, ok := r.blobs[id]; ok {
		if f, err := r.e.files.acquire(b.segment); err == nil {
			return r.e.openBody(f, b, &r.ahead)
		}
	}
	return r.e.openWith(id, &r.ahead) // it has moved, or was not prepared
}

func (r *Reader) closeBody() {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
}

// Close gives back what the reader holds.
func (r *Reader) Close() {
	r.closeBody()
	r.ahead.close()
}

// GetMany calls f with the value of every key that is there, and the key's
// index. It costs least when the keys ascend and stand close together. A value
// is valid during the call only. GetMany stops at the first error of f and
// returns it.
func (e *Engine) GetMany(keys [][]byte, f func(i int, value []byte) error) error {
	for _, k := range keys {
		if err := checkKey(k); err != nil {
			return err
		}
	}
	return e.getMany(keys, f)
}

func (e *Engine) getMany(keys [][]byte, f func(i int, value []byte) error) (err error) {
	if !e.gate.enter() {
		return ErrClosed
	}
	defer e.gate.leave()
	it, err := e.db.NewIter(&pebble.IterOptions{})
	if err != nil {
		return indexFailure(err)
	}
	defer func() { err = errors.Join(err, indexFailure(it.Close())) }()
	var before []byte
	for i, k := range keys {
		there := moveTo(it, before, k)
		before = k
		if !there {
			continue
		}
		v, err := it.ValueAndErr()
		if err == nil {
			err = f(i, v)
		}
		if err != nil {
			return indexFailure(err)
		}
	}
	return nil // Close returns the iterator's own error
}

// moveTo moves an iterator that was moved to the key before (nil: nowhere yet)
// to a key, and reports whether that is there.
func moveTo(it *pebble.Iterator, before, key []byte) bool {
	if before == nil || bytes.Compare(key, before) <= 0 || !it.Valid() {
		it.SeekGE(key)
	} else if bytes.Compare(it.Key(), key) < 0 && it.Next() && bytes.Compare(it.Key(), key) < 0 {
		it.SeekGE(key)
	}
	return it.Valid() && bytes.Equal(it.Key(), key)
}

// Sums calls f for every body of a list that is there with its index in the
// list, its octets, and a sum of them: bodies with the same octets have the same
// sum in every engine, and others hardly ever. It reads no body. Sums stops at
// the first error of f and returns it.
func (e *Engine) Sums(ids []BlobID, f func(i int, size int64, sum uint32) error) error {
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = blobKey(id)
	}
	return e.getMany(keys, func(i int, v []byte) error {
		b, err := parseBlob(v)
		if err != nil {
			return err
		}
		return f(i, b.size, b.sum)
	})
}
