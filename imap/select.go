package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

type selectRequest struct {
	name      string
	asked     string // the name as the client wrote it
	readOnly  bool
	condstore bool    // RFC 7162 §3.1.8
	resync    *resync // nil: not asked for
}

// parseSelect reads SELECT (RFC 9051 §6.3.2).
func parseSelect(p *parser) request {
	return parseSelection(p)
}

// parseExamine reads EXAMINE (RFC 9051 §6.3.3).
func parseExamine(p *parser) request {
	r := parseSelection(p)
	r.readOnly = true
	return r
}

func parseSelection(p *parser) *selectRequest {
	p.space()
	r := &selectRequest{asked: p.astring()}
	r.name = p.decodeName(r.asked)
	p.selectParameters(r)
	return r
}

func (r *selectRequest) run(ctx context.Context, s *session) (result, error) {
	if r.resync != nil && !s.enabled(qresync) {
		return result{}, errNotResync
	}
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
	v := &view{
		box: box, name: p.full, home: p, examined: r.readOnly,
		board: s.server.boards.open(box.ID()),
	}
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
		s.giveBack(v)
		s.unfollowed()
		return result{}, err
	}
	if r.condstore {
		s.useModSeqs()
	}
	s.view, s.state = v, imap.ConnStateSelected
	s.describe(v, r.asked)
	if r.resync != nil {
		if err := s.tellResync(ctx, r.resync); err != nil {
			s.unselect()
			return result{}, err
		}
	}
	return result{code: v.access()}, nil
}

// describe sends what a client learns of a mailbox that it selects, which it
// calls asked.
func (s *session) describe(v *view, asked string) {
	o := &s.out
	s.tellFlags(v)
	s.tellPermanentFlags(v)
	s.tellExists(v)
	if i := v.firstUnseen(); i >= 0 && !s.enabled(rev2|uidOnly) {
		s.okNumber("UNSEEN", uint64(i+1), "First unseen message")
	}
	s.okNumber("UIDVALIDITY", uint64(v.validity), "UIDs are valid")
	s.okNumber("UIDNEXT", uint64(v.next), "Next UID")
	s.out.status("*", "OK", "MAILBOXID "+mailboxID(v.box.ID()), "Mailbox is known by this")
	if s.enabled(rev2) {
		o.text(`* LIST () "` + storage.Separator + `" `)
		o.mailbox(v.name)
		if s.isOther(v.name, asked) {
			o.oldName(asked)
		}
		o.end()
	}
	s.tellHighestModSeq(v.told()) // RFC 7162 §3.1.2.1: whether or not it was asked for
}

func (s *session) okNumber(code string, n uint64, text string) {
	o := &s.out
	o.text("* OK [" + code + " ")
	o.number(n)
	o.text("] " + text)
	o.end()
}

// unselect goes back to the authenticated state.
func (s *session) unselect() {
	s.selected.Store(0)
	s.unfollowed()
	if s.view != nil {
		s.giveBack(s.view)
	}
	s.view, s.contexts, s.heard, s.vanished = nil, nil, 0, false
	s.state = imap.ConnStateAuthenticated
}

// giveBack ends a view.
func (s *session) giveBack(v *view) { s.server.boards.close(v.board, s.limits.Views) }
