package imap

import (
	"bytes"
	"context"
	"errors"
	"io"

	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// maxCatParts bounds the parts of which one APPEND is put together.
const maxCatParts = 1000

// catenate reads "(" part *(SP part) ")" after CATENATE (RFC 4469): texts, and
// URLs of what is in mailboxes already. Each goes to the message at once.
func (r *appendRequest) catenate(ctx context.Context) error {
	r.catenating = true
	defer func() { r.catenating = false }()
	r.p.space()
	r.p.expect('(')
	for parts := 1; ; parts++ {
		if parts > maxCatParts {
			return no(imap.ResponseCodeLimit, "Too many parts")
		}
		if err := r.catPart(ctx); err != nil {
			return err
		}
		if r.p.accept(')') {
			return r.p.err
		}
		r.p.space()
	}
}

func (r *appendRequest) catPart(ctx context.Context) error {
	switch r.p.word() {
	case "TEXT":
		r.p.space()
		if r.p.err == nil && !r.atLiteral() {
			r.p.fail("Missing text literal")
		}
		if r.p.err != nil {
			return r.p.err
		}
		return r.literal(ctx)
	case "UTF8":
		return r.utf8Literal(ctx)
	case "URL":
		r.p.space()
		url := r.astring()
		if r.p.err != nil {
			return r.p.err
		}
		return r.fromURL(ctx, url)
	}
	r.p.fail("Unknown part")
	return r.p.err
}

// fromURL adds what a URL names to the message.
func (r *appendRequest) fromURL(ctx context.Context, text string) error {
	u, err := parseMessageURL(text)
	if err != nil || !u.isHere(r.s) {
		return badURL(text)
	}
	box, err := r.urlMailbox(ctx, u)
	if err != nil {
		return toBadURL(err, text)
	}
	index, err := box.Index(ctx, u.uid)
	if err != nil {
		return toBadURL(err, text)
	}
	body, err := box.Open(ctx, u.uid)
	if err != nil {
		return toBadURL(err, text)
	}
	defer body.Close()
	octets, ok, err := sectionOf(body, index, u.section)
	switch {
	case err != nil:
		return err
	case !ok:
		return badURL(text)
	}
	off, n := cutPartial(u.section.Partial, octets.Size())
	if err := r.room(ctx, n); err != nil {
		return err
	}
	r.total += n
	_, err = io.Copy(r.spool, cancellable{ctx, io.NewSectionReader(octets, off, n)})
	return err
}

// urlMailbox opens the mailbox that a URL is about.
func (r *appendRequest) urlMailbox(ctx context.Context, u messageURL) (storage.Mailbox, error) {
	var box storage.Mailbox
	switch v := r.s.view; {
	case u.mailbox != "":
		var err error
		if box, err = r.s.mailbox(ctx, u.mailbox, storage.RightRead); err != nil {
			return nil, err
		}
	case v != nil && v.rights&storage.RightRead != 0:
		box = v.box
	default:
		return nil, storage.ErrNoMailbox
	}
	if u.validity == 0 {
		return box, nil
	}
	st, err := box.Status(ctx)
	if err == nil && st.UIDValidity != u.validity {
		err = storage.ErrNoMailbox
	}
	return box, err
}

// sectionOf returns the octets of a section, without its partial; ok is false
// when the message has no such section.
func sectionOf(b message.Body, index *message.Part, s *imap.FetchItemBodySection) (octets *io.SectionReader, ok bool, err error) {
	if whole(s) {
		return io.NewSectionReader(b, 0, b.Size()), true, nil
	}
	from, to, ok := locate(index, s)
	if !ok {
		return nil, false, nil
	}
	if names := fieldSet(s); len(names) > 0 {
		kept, err := keptFields(b, from, to, s, names)
		return io.NewSectionReader(bytes.NewReader(kept), 0, int64(len(kept))), true, err
	}
	return io.NewSectionReader(b, from, to-from), true, nil
}

// badURL is the answer to a URL that names nothing that can be had.
func badURL(text string) error {
	if text == "" { // which no code can hold
		return no("", "Nothing is at that URL")
	}
	text = strings.ReplaceAll(clean(text[:min(len(text), maxURL)]), "]", "%5D")
	return no(imap.ResponseCode("BADURL "+text), "Nothing is at that URL")
}

// toBadURL is badURL for what is not there or not for the user, and err for all
// else.
func toBadURL(err error, text string) error {
	if errors.Is(err, storage.ErrNoMailbox) || errors.Is(err, storage.ErrNoMessage) || errors.Is(err, errNoPerm) {
		return badURL(text)
	}
	return err
}
