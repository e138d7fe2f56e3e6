package imap

import (
	"bytes"
	"context"
	"strings"

	"github.com/posthouse-mail/posthouse/message"
)

// candidate is the message that a search looks at. What keys ask of it is
// fetched once, when the first asks.
type candidate struct {
	run    *searchRun
	view   *view
	i      int
	entry  *entry
	part   *message.Part
	body   message.OpenBody
	header []byte
	beside beside // kept from one message to the next
	piece  []byte // the memory of header, as a rule
	score  int    // of the fuzzy keys that match (RFC 6203 §4); 0: none did
}

// take goes on to another message.
func (c *candidate) take(i int) {
	c.forget()
	c.i, c.entry, c.score = i, c.view.at(i), 0
}

func (c *candidate) forget() {
	if c.body != nil {
		c.body.Close()
	}
	c.part, c.body, c.header = nil, nil, nil
}

func (c *candidate) recent() bool { return c.view.isRecent(c.entry) }

// received is the day of INTERNALDATE, in its own zone.
func (c *candidate) received(context.Context) (day, bool, error) {
	return dayOf(c.entry.date()), true, nil
}

// sent is the day of the Date field, in its own zone.
func (c *candidate) sent(ctx context.Context) (day, bool, error) {
	h, err := c.heading(ctx)
	if err != nil || !h.dated {
		return 0, false, err
	}
	return h.day(), true, nil
}

func (c *candidate) index(ctx context.Context) (err error) {
	if c.part == nil {
		c.part, err = c.view.box.Index(ctx, c.entry.uid)
	}
	return err
}

// open makes the content available.
func (c *candidate) open(ctx context.Context) (err error) {
	if c.body == nil {
		c.body, err = c.view.box.Open(ctx, c.entry.uid)
	}
	return err
}

// headerPiece is how much of a message is read in the hope that it holds the
// whole header.
const headerPiece = 4 << 10

// rootHeader returns the header of the message with the empty line that ends
// it, at most maxHeader octets. It needs no index.
func (c *candidate) rootHeader(ctx context.Context) ([]byte, error) {
	if c.header != nil {
		return c.header, nil
	}
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	most := min(c.body.Size(), maxHeader)
	for n := min(most, headerPiece); ; n = min(most, 8*n) {
		b := c.piece
		if b = b[:min(int(n), cap(b))]; len(b) < int(n) {
			b = make([]byte, n, max(n, headerPiece))
		}
		if k, err := c.body.ReadAt(b, 0); k < len(b) {
			return nil, noEOF(err)
		}
		if cap(b) == headerPiece {
			c.piece = b
		}
		end := headerEnd(b)
		if end == 0 && n < most {
			continue
		}
		if end > 0 {
			b = b[:end]
		}
		c.header = b
		return b, nil
	}
}

// headerEnd returns where the header ends that b begins with, behind its empty
// line; 0 when that line does not come.
func headerEnd(b []byte) int {
	for i := 0; ; {
		switch rest := b[i:]; {
		case bytes.HasPrefix(rest, []byte("\n")):
			return i + 1
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return i + 2
		}
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return 0
		}
		i += n + 1
	}
}

func (c *candidate) headerOf(p *message.Part) ([]byte, error) {
	return readAll(c.body, p.Offset, min(p.Body-p.Offset, maxHeader))
}

// fieldHolds reports whether a header field of that name holds n. The empty
// string is in every field.
func (c *candidate) fieldHolds(ctx context.Context, name string, n *needle) (bool, error) {
	header, err := c.rootHeader(ctx)
	if err != nil {
		return false, err
	}
	for f := range message.Fields(header) {
		if strings.EqualFold(f.Name, name) && n.in(message.DecodeText(message.Unfold(f.Raw))) {
			return true, nil
		}
	}
	return false, nil
}

// textHolds reports whether the header or the body holds n.
func (c *candidate) textHolds(ctx context.Context, n *needle) (bool, error) {
	header, err := c.rootHeader(ctx)
	if err != nil {
		return false, err
	}
	if headerHolds(header, n) {
		return true, nil
	}
	return c.bodyHolds(ctx, n)
}

// bodyHolds reports whether a text of the body holds n: text parts, decoded,
// and the headers of messages inside.
func (c *candidate) bodyHolds(ctx context.Context, n *needle) (bool, error) {
	if err := c.index(ctx); err != nil {
		return false, err
	}
	if err := c.open(ctx); err != nil {
		return false, err
	}
	return c.partHolds(ctx, c.part, n)
}

func (c *candidate) partHolds(ctx context.Context, p *message.Part, n *needle) (bool, error) {
	if p.Type == "text" {
		return n.inReader(cancellable{ctx, message.TextReader(c.body, p)})
	}
	for _, child := range p.Parts {
		if p.Type == "message" {
			header, err := c.headerOf(child)
			if err != nil {
				return false, err
			}
			if headerHolds(header, n) {
				return true, nil
			}
		}
		if ok, err := c.partHolds(ctx, child, n); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func headerHolds(header []byte, n *needle) bool {
	for f := range message.Fields(header) {
		if f.Name == "" && n.in(string(f.Raw)) || f.Name != "" && n.in(f.Name+": "+message.DecodeText(message.Unfold(f.Raw))) {
			return true
		}
	}
	return false
}
