package imap

import (
	"context"
	"encoding/base64"
	"errors"
	"io"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
)

// errUnknownCTE says that a part can't be decoded (RFC 9051 §7.1).
var errUnknownCTE = no(imap.ResponseCodeUnknownCTE, "Content can't be decoded")

// binaryItem is BINARY[…] (RFC 9051 §6.4.5, RFC 3516): content with its
// transfer encoding undone.
func binaryItem(s *imap.FetchItemBinarySection) fetchItem {
	item := fetchItem{needs: needIndex | needBody}
	if !s.Peek {
		item.needs |= needSeen
	}
	label := "BINARY[" + pathText(s.Part) + "]" + originText(s.Partial) + " "
	item.write = func(ctx context.Context, m *fetching) error {
		m.out.text(label)
		d, err := m.decoded(ctx, s.Part)
		switch {
		case err != nil:
			return err
		case d == nil:
			m.out.text("NIL")
			return nil
		}
		m.out.byte('~')
		return m.octets(d, 0, d.size, s.Partial)
	}
	return item
}

// binarySizeItem is BINARY.SIZE[…].
func binarySizeItem(path []int) fetchItem {
	label := "BINARY.SIZE[" + pathText(path) + "] "
	return fetchItem{needs: needIndex | needBody, write: func(ctx context.Context, m *fetching) error {
		m.out.text(label)
		d, err := m.decoded(ctx, path)
		if err != nil {
			return err
		}
		if d == nil {
			m.out.byte('0')
			return nil
		}
		m.out.size(d.size)
		return nil
	}}
}

// decodedPart reads a part's decoded content, from its beginning on: whoever
// goes back starts to decode again.
type decodedPart struct {
	body message.Body
	part *message.Part
	size int64
	r    io.Reader
	at   int64
}

// decoded measures a part's decoded content; nil when there is no such part.
func (m *fetching) decoded(ctx context.Context, path []int) (*decodedPart, error) {
	p, ok := m.part.Find(path)
	if !ok {
		return nil, nil
	}
	if len(path) == 0 || p.Type == "multipart" || holdsMessage(p) {
		whole := *p
		whole.Encoding = "binary"
		if len(path) == 0 {
			whole.Body = whole.Offset
		}
		p = &whole
	}
	d := &decodedPart{body: m.body, part: p}
	switch p.Encoding {
	case "7bit", "8bit", "binary":
		d.size = p.End - p.Body
		return d, nil
	case "quoted-printable":
	case "base64":
		if err := checkBase64(ctx, m.body, p); err != nil {
			return nil, err
		}
	default:
		return nil, errUnknownCTE
	}
	n, err := io.Copy(io.Discard, cancellable{ctx, message.DecodedReader(m.body, p)})
	d.size = n
	return d, err
}

// checkBase64 is strict where reading is lenient: a client that asks for
// decoded content must know when it is not what was sent.
func checkBase64(ctx context.Context, b message.Body, p *message.Part) error {
	text := cancellable{ctx, io.NewSectionReader(b, p.Body, p.End-p.Body)}
	_, err := io.Copy(io.Discard, base64.NewDecoder(base64.StdEncoding, text))
	var corrupt base64.CorruptInputError
	if errors.As(err, &corrupt) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errUnknownCTE
	}
	return err
}

// ReadAt reads on where the last one ended, or from the beginning.
func (d *decodedPart) ReadAt(b []byte, off int64) (n int, err error) {
	if d.r == nil || off < d.at {
		d.r, d.at = message.DecodedReader(d.body, d.part), 0
	}
	if off > d.at {
		k, err := io.CopyN(io.Discard, d.r, off-d.at)
		if d.at += k; err != nil {
			return 0, err
		}
	}
	n, err = io.ReadFull(d.r, b)
	d.at += int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// cancellable stops reading when a context ends.
type cancellable struct {
	ctx context.Context
	r   io.Reader
}

func (c cancellable) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
