package imap

import (
	"context"
	"strings"

	"github.com/posthouse-mail/posthouse/message"
)

// candidate is the message that a search looks at. What keys ask of it is
// fetched once, when the first asks.
type candidate struct {
	view   *view
	i      int
	entry  *entry
	part   *message.Part
	body   message.OpenBody
	header []byte
	beside beside // kept from one message to the next
}

// take goes on to another message.
func (c *candidate) take(i int) {
	c.forget()
	*c = candidate{view: c.view, i: i, entry: c.view.at(i), beside: c.beside}
}

func (c *candidate) forget() {
	if c.body != nil {
		c.body.Close()
		c.body = nil
	}
}

func (c *candidate) recent() bool { return c.view.isRecent(c.entry) }

// received is the day of INTERNALDATE, in its own zone.
func (c *candidate) received(context.Context) (day, bool, error) {
	return dayOf(c.entry.date()), true, nil
}

// sent is the day of the Date field, in its own zone.
func (c *candidate) sent(ctx context.Context) (day, bool, error) {
	if err := c.index(ctx); err != nil || c.part.Envelope == nil {
		return 0, false, err
	}
	t, ok := c.part.Envelope.Sent()
	return dayOf(t), ok, nil
}

func (c *candidate) index(ctx context.Context) (err error) {
	if c.part == nil {
		c.part, err = c.view.box.Index(ctx, c.entry.uid)
	}
	return err
}

// open makes index and body available.
func (c *candidate) open(ctx context.Context) error {
	if err := c.index(ctx); err != nil || c.body != nil {
		return err
	}
	body, err := c.view.box.Open(ctx, c.entry.uid)
	if err != nil {
		return err
	}
	c.body = body
	return nil
}

func (c *candidate) headerOf(p *message.Part) ([]byte, error) {
	if p == c.part && c.header != nil {
		return c.header, nil
	}
	b, err := readAll(c.body, p.Offset, min(p.Body-p.Offset, maxHeader))
	if err == nil && p == c.part {
		c.header = b
	}
	return b, err
}

// fieldHolds reports whether a header field of that name holds n. The empty
// string is in every field.
func (c *candidate) fieldHolds(ctx context.Context, name string, n *needle) (bool, error) {
	if err := c.open(ctx); err != nil {
		return false, err
	}
	header, err := c.headerOf(c.part)
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
	if err := c.open(ctx); err != nil {
		return false, err
	}
	if ok, err := c.headerHolds(c.part, n); ok || err != nil {
		return ok, err
	}
	return c.bodyHolds(ctx, n)
}

// bodyHolds reports whether a text of the body holds n: text parts, decoded,
// and the headers of messages inside.
func (c *candidate) bodyHolds(ctx context.Context, n *needle) (bool, error) {
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
			if ok, err := c.headerHolds(child, n); ok || err != nil {
				return ok, err
			}
		}
		if ok, err := c.partHolds(ctx, child, n); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (c *candidate) headerHolds(p *message.Part, n *needle) (bool, error) {
	header, err := c.headerOf(p)
	if err != nil {
		return false, err
	}
	for f := range message.Fields(header) {
		if f.Name == "" && n.in(string(f.Raw)) || f.Name != "" && n.in(f.Name+": "+message.DecodeText(message.Unfold(f.Raw))) {
			return true, nil
		}
	}
	return false, nil
}
