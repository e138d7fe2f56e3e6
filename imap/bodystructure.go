package imap

import (
	"context"

	"github.com/posthouse-mail/posthouse/message"
)

// detail says how much of a body structure is shown.
type detail int

const (
	basic    detail = iota // BODY
	extended               // BODYSTRUCTURE, with extension data
)

// writeBodyStructure writes BODYSTRUCTURE (RFC 9051 §7.5.2).
func writeBodyStructure(_ context.Context, m *fetching) error {
	m.out.text("BODYSTRUCTURE ")
	m.out.structure(m.part, extended)
	return nil
}

// writeBody writes BODY: the structure without extension data.
func writeBody(_ context.Context, m *fetching) error {
	m.out.text("BODY ")
	m.out.structure(m.part, basic)
	return nil
}

// structure writes a part and those inside it. An index bounds their depth.
func (o *output) structure(p *message.Part, d detail) {
	o.byte('(')
	if len(p.Parts) > 0 && p.Type == "multipart" {
		for _, child := range p.Parts {
			o.structure(child, d)
		}
		o.byte(' ')
		o.string(p.Subtype)
		if d == extended {
			o.byte(' ')
			o.params(p.Params)
			o.extension(p)
		}
		o.byte(')')
		return
	}
	o.leaf(p, d)
	if d == extended {
		o.byte(' ')
		o.nstring(p.MD5)
		o.extension(p)
	}
	o.byte(')')
}

// leaf writes the fields of a part that is no multipart.
func (o *output) leaf(p *message.Part, d detail) {
	o.string(p.Type)
	o.byte(' ')
	o.string(p.Subtype)
	o.byte(' ')
	o.params(p.Params)
	o.byte(' ')
	o.nstring(p.ID)
	o.byte(' ')
	o.nstring(p.Description)
	o.byte(' ')
	o.string(p.Encoding)
	o.byte(' ')
	o.size(p.End - p.Body)
	switch {
	case holdsMessage(p) && (p.Subtype == "rfc822" || o.utf8): // RFC 3501 knows no message/global
		inner := p.Parts[0]
		o.byte(' ')
		o.envelope(inner.Envelope)
		o.byte(' ')
		o.structure(inner, d)
		o.byte(' ')
		o.size(p.Lines)
	case p.Type == "text":
		o.byte(' ')
		o.size(p.Lines)
	}
}

// extension writes disposition, language and location.
func (o *output) extension(p *message.Part) {
	o.byte(' ')
	if p.Disposition == "" {
		o.text("NIL")
	} else {
		o.byte('(')
		o.string(p.Disposition)
		o.byte(' ')
		o.params(p.DispositionParams)
		o.byte(')')
	}
	o.byte(' ')
	o.languages(p.Language)
	o.byte(' ')
	o.nstring(p.Location)
}

func (o *output) params(params []message.Param) {
	if len(params) == 0 {
		o.text("NIL")
		return
	}
	sep := byte('(')
	for _, p := range params {
		o.byte(sep)
		o.string(p.Name)
		o.byte(' ')
		o.string(p.Value)
		sep = ' '
	}
	o.byte(')')
}

func (o *output) languages(l []string) {
	switch len(l) {
	case 0:
		o.text("NIL")
	case 1:
		o.string(l[0])
	default:
		sep := byte('(')
		for _, s := range l {
			o.byte(sep)
			o.string(s)
			sep = ' '
		}
		o.byte(')')
	}
}
