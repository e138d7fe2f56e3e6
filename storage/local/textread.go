package local

import (
	"context"
	"errors"
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

// read reads a message that the builder has begun. One that is gone needs
// nothing. One that is damaged is found by every search, which then tells.
func (x *textReader) read(ctx context.Context, uid imap.UID) error {
	err := x.readMessage(ctx, uid)
	switch {
	case errors.Is(err, storage.ErrNoMessage):
		return nil
	case errors.Is(err, engine.ErrDamaged), errors.Is(err, engine.ErrNoBlob), errors.Is(err, ErrDamaged):
		x.to.Always()
		return nil
	}
	return err
}

func (x *textReader) readMessage(ctx context.Context, uid imap.UID) error {
	if err := x.pacer.pause(); err != nil {
		return err
	}
	rec, err := x.record(ctx, uid)
	if err != nil {
		return err
	}
	index, err := x.indexRecord(ctx, &rec)
	if err != nil {
		return err
	}
	if x.body, err = x.openRecord(ctx, &rec); err != nil {
		return err
	}
	defer x.body.Close()
	if err := x.fields(index); err != nil {
		return err
	}
	return x.part(index)
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
