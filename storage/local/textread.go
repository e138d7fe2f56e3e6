package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/lexicon"
)

// maxTextHeader is how large a header is, in octets, that is read into the
// index. A message with a larger one is found by every search.
const maxTextHeader = 1 << 20

// textReader reads messages into the index: all that a search looks at, in the
// pieces in which it does. That is each header field as "name: text", of the
// message and of those inside it, a line that is no field as it is, and each
// text part, decoded.
type textReader struct {
	*mailbox
	to     *lexicon.Builder
	pacer  *textPacer
	body   message.OpenBody
	header []byte
}

// read reads a message into the index. One that is gone is left out. One that
// is damaged is found by every search, which then tells.
func (x *textReader) read(ctx context.Context, uid imap.UID) error {
	if err := x.pacer.pause(); err != nil {
		return err
	}
	body, index, err := x.openIndexed(ctx, uid)
	if errors.Is(err, storage.ErrNoMessage) {
		return nil
	}
	var stamp uint32
	if err == nil {
		defer body.Close()
		stamp, err = stampOf(body)
	}
	if err != nil && !isUnreadable(err) {
		return err
	}
	x.to.Begin(lexicon.Doc{UID: uint32(uid), Stamp: stamp})
	if err == nil {
		x.body = body
		if err = x.fields(index); err == nil {
			err = x.part(index)
		}
	}
	if isUnreadable(err) {
		x.to.Always()
		return nil
	}
	return err
}

func isUnreadable(err error) bool { return isDamage(err) || errors.Is(err, engine.ErrNoBlob) }

// openIndexed is Open and Index.
func (m *mailbox) openIndexed(ctx context.Context, uid imap.UID) (message.OpenBody, *message.Part, error) {
	rec, err := m.record(ctx, uid)
	if err != nil {
		return nil, nil, err
	}
	index, err := m.indexRecord(ctx, &rec)
	if err != nil {
		return nil, nil, err
	}
	body, err := m.openRecord(ctx, &rec)
	return body, index, err
}

// stamped is how much of a message is in its stamp, in octets.
const stamped = 16 << 10

// stampOf returns what tells a message from others: a sum of its first octets
// and its size.
func stampOf(body message.Body) (uint32, error) {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	size := binary.LittleEndian.AppendUint64(nil, uint64(body.Size()))
	_, err := io.Copy(sum, io.MultiReader(bytes.NewReader(size), io.NewSectionReader(body, 0, min(body.Size(), stamped))))
	return sum.Sum32(), err
}

// isStill reports whether a UID means the message that it meant. One that can't
// be read has no stamp.
func (m *mailbox) isStill(ctx context.Context, d lexicon.Doc) (bool, error) {
	body, err := m.Open(ctx, imap.UID(d.UID))
	var stamp uint32
	if err == nil {
		defer body.Close()
		if stamp, err = stampOf(body); err != nil {
			stamp = 0
		}
	}
	if isUnreadable(err) || errors.Is(err, storage.ErrNoMessage) {
		err = nil
	}
	return err == nil && stamp == d.Stamp, err
}

func (x *textReader) part(p *message.Part) error {
	if p.Type == "text" {
		return x.to.Read(paced{message.TextReader(x.body, p), x.pacer})
	}
	for _, child := range p.Parts {
		if p.Type == "message" {
			if err := x.fields(child); err != nil {
				return err
			}
		}
		if err := x.part(child); err != nil {
			return err
		}
	}
	return nil
}

// fields reads the header of a message.
func (x *textReader) fields(p *message.Part) error {
	n := p.Body - p.Offset
	if n > maxTextHeader {
		x.to.Always()
		return nil
	}
	if int64(cap(x.header)) < n {
		x.header = make([]byte, n)
	}
	x.header = x.header[:n]
	if k, err := x.body.ReadAt(x.header, p.Offset); int64(k) < n {
		return err
	}
	for f := range message.Fields(x.header) {
		if f.Name == "" {
			x.to.String(string(f.Raw))
		} else {
			x.to.String(f.Name + ": " + message.DecodeText(message.Unfold(f.Raw)))
		}
	}
	return nil
}

// paced reads with pauses.
type paced struct {
	io.Reader
	pacer *textPacer
}

func (r paced) Read(b []byte) (int, error) {
	if err := r.pacer.pause(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}
