package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

type selectRequest struct {
	name     string
	readOnly bool
}

// parseSelect reads SELECT (RFC 9051 §6.3.2).
func parseSelect(p *parser) request {
	p.space()
	return &selectRequest{name: p.mailbox()}
}

// parseExamine reads EXAMINE (RFC 9051 §6.3.3).
func parseExamine(p *parser) request {
	p.space()
	return &selectRequest{name: p.mailbox(), readOnly: true}
}

func (r *selectRequest) run(ctx context.Context, s *session) (result, error) {
	if s.view != nil {
		s.unselect()
		s.out.status("*", "OK", "CLOSED", "Previous mailbox is closed")
	}
	p, err := s.place(ctx, r.name, storage.RightRead)
	if err != nil {
		return result{}, err
	}
	box, err := p.open(ctx)
	if err != nil {
		return result{}, err
	}
	v := &view{box: box, name: p.full, home: p, examined: r.readOnly}
	v.grant(p.rights)
	// From here on changes are noticed; what load sees of them already does
	// no harm when it is seen again.
	s.selected.Store(uint64(box.ID()))
	s.dirty.Store(false)
	s.follow(ctx, &p)
	if err = v.load(ctx); err == nil {
		err = v.takeRecent(ctx, 0)
	}
	if err != nil {
		s.selected.Store(0)
		s.unfollowed()
		return result{}, err
	}
	s.view, s.state = v, imap.ConnStateSelected
	s.describe(v)
	return result{code: v.access()}, nil
}

// describe sends what a client learns of a mailbox that it selects.
func (s *session) describe(v *view) {
	o := &s.out
	s.tellFlags(v)
	s.tellPermanentFlags(v)
	s.tellExists(v)
	if i := v.firstUnseen(); i >= 0 && !s.enabled(rev2) {
		s.okNumber("UNSEEN", uint64(i+1), "First unseen message")
	}
	s.okNumber("UIDVALIDITY", uint64(v.validity), "UIDs are valid")
	s.okNumber("UIDNEXT", uint64(v.next), "Next UID")
	if s.enabled(rev2) {
		o.text(`* LIST () "` + storage.Separator + `" `)
		o.mailbox(v.name)
		o.end()
	}
}

func (s *session) okNumber(code string, n uint64, text string) {
	o := &s.out
	o.text("* OK [" + code + " ")
	o.number(n)
	o.text("] " + text)
	o.end()
}

func (v *view) firstUnseen() int {
	for i := range v.len() {
		if v.at(i).system()&storage.Seen == 0 {
			return i
		}
	}
	return -1
}

// unselect goes back to the authenticated state.
func (s *session) unselect() {
	s.selected.Store(0)
	s.unfollowed()
	s.view = nil
	s.state = imap.ConnStateAuthenticated
}
