package message

// Shift returns the index of Join(prefix, body) made from p, the index of
// body, when prefix is n octets of whole header fields: a copy whose root
// still begins at 0 and whose every other offset is n larger. The envelope is
// shared with p: prefix must not hold a field that the envelope names.
func (p *Part) Shift(n int64) *Part {
	c := p.moved(n)
	c.Offset = p.Offset
	return c
}

func (p *Part) moved(n int64) *Part {
	c := *p
	c.Offset += n
	c.Body += n
	c.End += n
	if len(p.Parts) > 0 {
		c.Parts = make([]*Part, len(p.Parts))
		for i, child := range p.Parts {
			c.Parts[i] = child.moved(n)
		}
	}
	return &c
}

// Find returns the part that IMAP calls path (RFC 9051 §6.4.5.1), p being a
// whole message: an empty path is p itself, part 1 of a message that is no
// multipart is the message itself, and numbers below a message/rfc822 part
// count in the message that it holds. ok is false when there is no such part.
func (p *Part) Find(path []int) (part *Part, ok bool) {
	for i, n := range path {
		within := p
		if i > 0 && p.isMessage() {
			within = p.Parts[0]
		}
		switch {
		case n < 1:
			return nil, false
		case within.Type == "multipart":
			if n > len(within.Parts) {
				return nil, false
			}
			p = within.Parts[n-1]
		case n == 1 && (i == 0 || within != p):
			p = within
		default:
			return nil, false
		}
	}
	return p, true
}

// isMessage reports whether p holds another message (RFC 2046 §5.2.1,
// RFC 6532 §3.7).
func (p *Part) isMessage() bool { return p.holdsMessage() && len(p.Parts) == 1 }

func (p *Part) holdsMessage() bool {
	return p.Type == "message" && (p.Subtype == "rfc822" || p.Subtype == "global")
}
