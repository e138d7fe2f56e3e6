package imap

import (
	"bytes"
	"context"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// Scopes of annotations, which begin their names (RFC 5464 §3.2).
const (
	sharedScope  = "/shared"
	privateScope = "/private"
)

// specialUseEntry is the annotation that shows a mailbox's special use
// (RFC 6154 §4).
const specialUseEntry = "/specialuse"

// annotationRights are those of which one is needed, beside the right to see
// the mailbox, to read and set annotations (RFC 5464 §3.3).
const annotationRights = storage.RightRead | storage.RightSeen | storage.RightWrite | storage.RightInsert | storage.RightPost

var (
	errNoAnnotations = no(imap.ResponseCodeCannot, "Annotations are not supported here")
)

// metadataName is the name of an annotation as a client writes it.
type metadataName struct {
	text  string // as it came
	scope string // sharedScope or privateScope
	name  string // in the scope, in lower case; "" for the scope itself
}

func (n *metadataName) full() string { return n.scope + n.name }

// metadataName reads the name of an annotation (RFC 5464 §3.2.1).
func (p *parser) metadataName() metadataName {
	n := metadataName{text: p.astring(), scope: privateScope}
	lower := strings.ToLower(n.text)
	rest, ok := strings.CutPrefix(lower, privateScope)
	if !ok {
		n.scope = sharedScope
		rest, ok = strings.CutPrefix(lower, sharedScope)
	}
	if rest != "" && ok {
		_, err := storage.Annotation{Name: rest}.Clean()
		ok = err == nil
	}
	if !ok {
		p.fail("Invalid entry name")
	}
	n.name = rest
	return n
}

// nameOrEmpty reads a mailbox name, or the empty one, which stands for the
// server (RFC 5464 §4.2) or the account (see quota.go).
func (p *parser) nameOrEmpty() (name string, empty bool) {
	text := p.astring()
	return p.decodeName(text), text == ""
}

// notePlace is where annotations are read and set.
type notePlace struct {
	place
	storage.Annotations
	server map[string]string // shared annotations of the server; nil: it is a mailbox
}

// notesOf returns the annotations of a mailbox that the session's user may read.
func (s *session) notesOf(ctx context.Context, name string) (notePlace, error) {
	p, err := s.place(ctx, name, storage.RightLookup)
	if err != nil {
		return notePlace{}, err
	}
	if _, err := p.account.Mailbox(ctx, p.name); err != nil {
		return notePlace{}, err
	}
	if p.rights&annotationRights == 0 {
		return notePlace{}, errNoPerm
	}
	notes, ok := storage.As[storage.Annotations](p.account)
	if !ok {
		return notePlace{}, errNoAnnotations
	}
	return notePlace{place: p, Annotations: notes}, nil
}

// serverNotes returns the annotations of the server: private ones are kept in
// the user's account.
func (s *session) serverNotes() (notePlace, error) {
	notes, ok := storage.As[storage.Annotations](s.account)
	if !ok {
		return notePlace{}, errNoAnnotations
	}
	shared := s.server.Annotations
	if shared == nil {
		shared = make(map[string]string)
	}
	return notePlace{place{account: s.account}, notes, shared}, nil
}

// list returns all annotations of a place that a user can see, with their full
// names.
func (n *notePlace) list(ctx context.Context, user string) ([]metadataValue, error) {
	kept, err := n.Annotations.Annotations(ctx, n.name, user)
	if err != nil {
		return nil, err
	}
	var list []metadataValue
	for name, value := range n.server {
		list = append(list, metadataValue{sharedScope + strings.ToLower(name), []byte(value)})
	}
	for _, a := range kept {
		switch {
		case a.User != "":
			list = append(list, metadataValue{privateScope + a.Name, a.Value})
		case n.server == nil:
			list = append(list, metadataValue{sharedScope + a.Name, a.Value})
		}
	}
	return list, nil
}

// metadataValue is an annotation as clients see it.
type metadataValue struct {
	name  string // with its scope
	value []byte // nil: there is none
}

// metadata writes a METADATA response (RFC 5464 §4.4.1).
func (o *output) metadata(mailbox string, values []metadataValue) {
	o.text("* METADATA ")
	o.mailbox(mailbox)
	sep := " ("
	for _, v := range values {
		o.text(sep)
		o.astring(v.name)
		o.byte(' ')
		o.nvalue(v.value)
		sep = " "
		if len(o.b) >= spillSize {
			o.spill()
		}
	}
	o.byte(')')
	o.end()
}

// nvalue writes NIL for nil, a string, or a literal8 where that must be.
func (o *output) nvalue(value []byte) {
	switch {
	case value == nil:
		o.text("NIL")
	case bytes.IndexByte(value, 0) >= 0:
		o.text("~{")
		o.number(uint64(len(value)))
		o.text("}\r\n")
		o.b = append(o.b, value...)
	default:
		o.string(string(value))
	}
}

// nvalue reads a string, a literal8, or NIL, which is nil.
func (p *parser) nvalue() []byte {
	if p.atLiteral() && p.lits[0].binary {
		return []byte(p.octets())
	}
	if s, ok := p.nstring(); ok {
		return []byte(s)
	}
	return nil
}
