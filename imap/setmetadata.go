package imap

import (
	"context"
	"errors"
	"strconv"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

var (
	errLongAnnotation = no(imap.ResponseCode("METADATA MAXSIZE "+strconv.Itoa(storage.MaxAnnotationValue)), "Value is too long")
	errAnnotations    = no("METADATA TOOMANY", "Too many annotations")
)

// setMetadataRequest is SETMETADATA (RFC 5464 §4.3).
type setMetadataRequest struct {
	mailbox string
	server  bool
	set     []metadataChange
}

// metadataChange is an annotation to set, or with a nil value to remove.
type metadataChange struct {
	metadataName
	value []byte
}

// parseSetMetadata reads SETMETADATA.
func parseSetMetadata(p *parser) request {
	p.space()
	r := &setMetadataRequest{}
	r.mailbox, r.server = p.nameOrEmpty()
	p.space()
	p.list(func() {
		c := metadataChange{metadataName: p.metadataName()}
		if c.name == "" || len(r.set) >= storage.MaxAnnotations {
			p.fail("Invalid entry name, or too many")
			return
		}
		p.space()
		c.value = p.nvalue()
		r.set = append(r.set, c)
	})
	if len(r.set) == 0 {
		p.fail("Missing entries")
	}
	return r
}

func (r *setMetadataRequest) run(ctx context.Context, s *session) (result, error) {
	of, err := r.place(ctx, s)
	if err != nil {
		return result{}, err
	}
	set := make([]storage.Annotation, len(r.set))
	for i, c := range r.set {
		if len(c.value) > storage.MaxAnnotationValue {
			return result{}, errLongAnnotation
		}
		set[i] = storage.Annotation{Name: c.name, Value: c.value}
		if c.scope == privateScope {
			set[i].User = s.user
		}
		if c.full() == privateScope+specialUseEntry {
			return result{}, no(imap.ResponseCodeCannot, "Special use is given with CREATE")
		}
	}
	err = of.Annotate(ctx, of.name, set...)
	if errors.Is(err, storage.ErrLimit) {
		err = errAnnotations
	}
	return result{}, err
}

// place returns where all of the annotations are to be set. Shared ones of a
// mailbox need the right to change its flags, those of the server are its
// operator's.
func (r *setMetadataRequest) place(ctx context.Context, s *session) (of notePlace, err error) {
	if r.server {
		of, err = s.serverNotes()
	} else {
		of, err = s.notesOf(ctx, r.mailbox)
	}
	if err != nil {
		return of, err
	}
	for _, c := range r.set {
		if c.scope == sharedScope && (r.server || of.rights&storage.RightWrite == 0) {
			return of, errNoPerm
		}
	}
	return of, nil
}
