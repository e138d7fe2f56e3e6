package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/posthouse-mail/posthouse/message"
)

func (e *Engine) commit(c *Change) error {
	tx := &Tx{e: e, batch: e.db.NewIndexedBatch()}
	defer tx.batch.Close()
	if c.Body != nil {
		e.next++
		tx.blob = BlobID(e.next)
		b, err := io.ReadAll(message.NewReader(c.Body))
		if err == nil {
			err = tx.batch.Set(blobKey("!d", tx.blob), b, nil)
		}
		if err != nil {
			return err
		}
	}
	if err := c.Build(tx); err != nil {
		return err
	}
	made := false
	defer func() {
		if !made && c.Undo != nil {
			c.Undo()
		}
	}()
	for _, r := range tx.refs {
		tx.fail(e.ref(tx, r))
	}
	if tx.err != nil {
		return tx.err
	}
	if err := tx.batch.Set([]byte("!next"), binary.BigEndian.AppendUint64(nil, e.next), nil); err != nil {
		return err
	}
	if err := tx.batch.Commit(pebble.Sync); err != nil {
		return err
	}
	made = true
	if c.Done != nil {
		c.Done()
	}
	return nil
}

func (e *Engine) ref(tx *Tx, r ref) error {
	key := blobKey("!b", r.blob)
	v, ok, err := get(tx.batch, key)
	n := int64(r.n)
	if ok {
		n += int64(binary.BigEndian.Uint64(v))
	}
	switch {
	case err != nil:
		return err
	case n < 0 || !ok && r.blob != tx.blob:
		return ErrNoBlob
	case n == 0:
		return errors.Join(tx.batch.Delete(key, nil), tx.batch.Delete(blobKey("!d", r.blob), nil))
	}
	return tx.batch.Set(key, binary.BigEndian.AppendUint64(nil, uint64(n)), nil)
}

type nopCloser struct{ message.Body }

func (nopCloser) Close() error { return nil }

func blobKey(prefix string, b BlobID) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefix), uint64(b))
}

func checkKey(key []byte) error {
	if len(key) == 0 || key[0] == '!' {
		return ErrBadKey
	}
	return nil
}

func get(r pebble.Reader, key []byte) ([]byte, bool, error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	v = bytes.Clone(v)
	return v, true, closer.Close()
}

func scan(ctx context.Context, r pebble.Reader, from, to []byte, f func(key, value []byte) error) (err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		if it.Key()[0] == '!' {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return nil
}
