package imap

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
)

// bodyItem is BODY[…] or one of its old names; label is what the response
// calls it.
func bodyItem(s *imap.FetchItemBodySection, label string) fetchItem {
	item := fetchItem{needs: needIndex | needBody}
	if !s.Peek {
		item.needs |= needSeen
	}
	if whole(s) {
		item.needs &^= needIndex
	}
	names := fieldSet(s)
	item.write = func(_ context.Context, m *fetching) error {
		m.out.text(label)
		m.out.byte(' ')
		if whole(s) {
			return m.octets(m.body, 0, m.body.Size(), s.Partial)
		}
		from, to, ok := locate(m.part, s)
		switch {
		case !ok:
			m.out.text("NIL")
			return nil
		case len(names) > 0:
			return m.fields(from, to, s, names)
		}
		return m.octets(m.body, from, to-from, s.Partial)
	}
	return item
}

// fieldSet returns the names of fields that a section is about, in lower case.
func fieldSet(s *imap.FetchItemBodySection) map[string]bool {
	names := make(map[string]bool, len(s.HeaderFields)+len(s.HeaderFieldsNot))
	for _, list := range [][]string{s.HeaderFields, s.HeaderFieldsNot} {
		for _, n := range list {
			names[strings.ToLower(n)] = true
		}
	}
	return names
}

// whole reports whether a section is the message as it is.
func whole(s *imap.FetchItemBodySection) bool {
	return len(s.Part) == 0 && s.Specifier == imap.PartSpecifierNone
}

// locate returns where the octets of a section stand in the message; ok is
// false when the message has no such section (RFC 9051 §6.4.5.1).
func locate(root *message.Part, s *imap.FetchItemBodySection) (from, to int64, ok bool) {
	p, ok := root.Find(s.Part)
	if !ok {
		return 0, 0, false
	}
	switch s.Specifier {
	case imap.PartSpecifierMIME:
		return p.Offset, p.Body, true
	case imap.PartSpecifierNone:
		if len(s.Part) == 0 {
			return p.Offset, p.End, true
		}
		return p.Body, p.End, true
	}
	if len(s.Part) > 0 { // HEADER and TEXT are of the message inside
		if !holdsMessage(p) {
			return 0, 0, false
		}
		p = p.Parts[0]
	}
	if s.Specifier == imap.PartSpecifierHeader {
		return p.Offset, p.Body, true
	}
	return p.Body, p.End, true
}

func holdsMessage(p *message.Part) bool { return p.Type == "message" && len(p.Parts) == 1 }

// octets writes n octets of r from off on, or the part of them that is asked for.
func (m *fetching) octets(r io.ReaderAt, off, n int64, partial *imap.SectionPartial) error {
	skip, count := cutPartial(partial, n)
	return m.out.body(r, off+skip, count)
}

// maxHeader bounds a header that is looked at field by field.
const maxHeader = 1 << 20

// fields writes the fields of a header that are asked for, or those that are
// not, and the empty line.
func (m *fetching) fields(from, to int64, s *imap.FetchItemBodySection, names map[string]bool) error {
	kept, err := keptFields(m.body, from, to, s, names)
	if err != nil {
		return err
	}
	return m.octets(bytes.NewReader(kept), 0, int64(len(kept)), s.Partial)
}

// keptFields reads a header and keeps what a section asks for.
func keptFields(r io.ReaderAt, from, to int64, s *imap.FetchItemBodySection, names map[string]bool) ([]byte, error) {
	header, err := readAll(r, from, min(to-from, maxHeader))
	if err != nil {
		return nil, err
	}
	var kept bytes.Buffer
	wanted := s.HeaderFieldsNot == nil
	for f := range message.Fields(header) {
		if names[strings.ToLower(f.Name)] == wanted && !isBlank(f.Raw) {
			kept.Write(f.Raw)
		}
	}
	if b := kept.Bytes(); len(b) > 0 && b[len(b)-1] != '\n' {
		kept.WriteString("\r\n")
	}
	kept.WriteString("\r\n")
	return kept.Bytes(), nil
}

// isBlank reports whether a line is the empty one that ends a header.
func isBlank(line []byte) bool { return len(bytes.TrimRight(line, "\r\n")) == 0 }

// readAll reads n octets of r from off on.
func readAll(r io.ReaderAt, off, n int64) ([]byte, error) {
	b := make([]byte, n)
	if k, err := r.ReadAt(b, off); int64(k) < n {
		return nil, noEOF(err)
	}
	return b, nil
}

func noEOF(err error) error {
	if err == io.EOF || err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}
