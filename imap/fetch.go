package imap

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// fetchRequest is FETCH or UID FETCH (RFC 9051 §6.4.5, §6.4.9).
type fetchRequest struct {
	set   numSet
	kind  numKind
	items []fetchItem
	needs needs // of all items

	since    uint64 // only messages that changed after this mod-sequence (RFC 7162 §3.1.4.1); 0: all
	vanished bool   // and UIDs that are gone since then (RFC 7162 §3.2.6)
	page     page   // of the messages of set; zero: all
}

func fetchParser(kind numKind) func(*parser) request {
	return func(p *parser) request {
		p.space()
		r := &fetchRequest{set: p.numSet(), kind: kind}
		p.space()
		r.items = p.fetchItems()
		p.fetchModifiers(r)
		for _, item := range r.items {
			r.needs |= item.needs
		}
		if r.since != 0 && r.needs&needModSeq == 0 {
			r.items = append(r.items, simpleItems["MODSEQ"])
			r.needs |= needModSeq
		}
		return r
	}
}

func upper(b []byte) string { return strings.ToUpper(string(b)) }

// fetching is one message on its way to the client.
type fetching struct {
	s     *session
	out   *output
	view  *view
	i     int           // index in the view
	entry *entry        // of the view
	part  *message.Part // with needIndex
	body  message.OpenBody

	beside beside
}

func (r *fetchRequest) run(ctx context.Context, s *session) (result, error) {
	spans, err := r.spans(ctx, s)
	if spans = r.cutPage(spans); err != nil || len(spans) == 0 {
		return result{}, err
	}
	spans, lowest := s.limitMessages(spans)
	seen, err := r.setSeen(ctx, s, spans)
	if err != nil {
		return result{}, err
	}
	var missing, failed error
	m := &fetching{s: s, out: &s.out, view: s.view}
	for _, p := range spans {
		for m.i = p.from; m.i < p.to; m.i++ {
			m.entry = s.view.at(m.i)
			err := r.message(ctx, m, seen.Contains(m.entry.uid))
			switch {
			case err == nil:
			case endsSession(err) || ctx.Err() != nil || s.out.err != nil:
				return result{}, err
			case errors.Is(err, storage.ErrNoMessage):
				missing = err
			default:
				if failed == nil { // one line tells enough of a broken store
					s.log(ctx, slog.LevelError, "message could not be fetched", err, "mailbox", s.view.name, "uid", m.entry.uid)
				}
				failed = err
			}
		}
	}
	return result{lowest: lowest}, r.verdict(s, missing, failed)
}

// spans returns where the messages that are asked for stand.
func (r *fetchRequest) spans(ctx context.Context, s *session) ([]span, error) {
	if r.needs&needModSeq != 0 {
		s.useModSeqs()
	}
	spans, err := s.view.spans(r.set, r.kind)
	if err == nil && r.vanished {
		err = r.tellEarlier(ctx, s)
	}
	if err == nil && r.since != 0 {
		spans, err = s.view.changedSince(ctx, spans, r.since)
	}
	return spans, err
}

// verdict is the outcome of a FETCH that could not show everything.
func (r *fetchRequest) verdict(s *session, missing, failed error) error {
	var shown *imap.Error
	switch {
	case errors.As(failed, &shown):
		return shown
	case failed != nil:
		return no(imap.ResponseCodeServerBug, "Some messages could not be read")
	case missing != nil:
		s.dirty.Store(true)
		if r.kind == bySeq {
			return errExpunged
		}
	}
	return nil
}

// setSeen sets \Seen on the messages of spans, as one change, when an item
// asks for it. It returns those that it changed.
func (r *fetchRequest) setSeen(ctx context.Context, s *session, spans []span) (imap.UIDSet, error) {
	if r.needs&needSeen == 0 || s.view.need(storage.RightSeen) != nil {
		return nil, nil
	}
	unseen := s.view.uidsWhere(spans, func(e *entry) bool { return e.system()&storage.Seen == 0 })
	if len(unseen) == 0 {
		return nil, nil
	}
	update := storage.FlagUpdate{UIDs: unseen, Op: imap.StoreFlagsAdd, Flags: storage.Flags{System: storage.Seen}}
	changed, _, err := s.view.box.StoreFlags(ctx, update)
	if err != nil {
		return nil, err
	}
	_, err = s.takeOver(ctx, changed, update.Op, update.Flags)
	return unseen, err
}

// message writes one FETCH response. When it can't, nothing of it is
// written, unless a literal had begun already: then the session is broken.
func (r *fetchRequest) message(ctx context.Context, m *fetching, seen bool) error {
	if err := m.open(ctx, r.needs); err != nil {
		return err
	}
	defer m.close()
	o := m.out
	mark := o.mark()
	if err := r.write(ctx, m, seen); err != nil {
		if !o.rewind(mark) && !endsSession(err) {
			return &broken{err}
		}
		return err
	}
	return nil
}

func (r *fetchRequest) write(ctx context.Context, m *fetching, seen bool) error {
	o := m.out
	m.s.beginFetch(m.view, m.i)
	sep := ""
	for _, item := range r.items {
		o.text(sep)
		if err := item.write(ctx, m); err != nil {
			return err
		}
		sep = " "
	}
	r.writeMore(m, seen)
	o.byte(')')
	o.end()
	return o.err
}

// writeMore adds the items that the client did not ask for; seen says that the
// message got the flag just now.
func (r *fetchRequest) writeMore(m *fetching, seen bool) {
	o, s := m.out, m.s
	always := r.kind == byUID && !s.enabled(uidOnly)
	if r.needs&needUID == 0 && (always || seen && s.tellsUID()) {
		o.text(" UID ")
		o.number(uint64(m.entry.uid))
	}
	if seen && r.needs&needFlags == 0 {
		o.text(" FLAGS (")
		o.flags(m.view, m.entry)
		o.byte(')')
	}
	// RFC 7162 §3.1, §3.2.4
	if r.needs&needModSeq == 0 && (seen && s.enabled(condstore) || r.kind == byUID && s.enabled(qresync)) {
		o.byte(' ')
		s.modSeqOf(m.entry)
	}
}

// open gets what the items need of the message.
func (m *fetching) open(ctx context.Context, n needs) (err error) {
	uid := m.entry.uid
	if n&needIndex != 0 {
		if m.part, err = m.view.box.Index(ctx, uid); err != nil {
			return err
		}
	}
	if n&needBody != 0 {
		m.body, err = m.view.box.Open(ctx, uid)
	}
	return err
}

func (m *fetching) close() {
	if m.body != nil {
		m.body.Close()
		m.body = nil
	}
}

func writeUID(_ context.Context, m *fetching) error {
	m.out.text("UID ")
	m.out.number(uint64(m.entry.uid))
	return nil
}

func writeFlags(_ context.Context, m *fetching) error {
	m.out.text("FLAGS (")
	m.out.flags(m.view, m.entry)
	m.out.byte(')')
	return nil
}

func writeInternalDate(_ context.Context, m *fetching) error {
	o := m.out
	o.text(`INTERNALDATE "`)
	o.b = appendDate(o.b, m.entry)
	o.byte('"')
	return nil
}

func writeSize(_ context.Context, m *fetching) error {
	m.out.text("RFC822.SIZE ")
	m.out.size(m.entry.size())
	return nil
}
