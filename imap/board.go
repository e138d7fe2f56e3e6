package imap

import (
	"container/list"
	"context"
	"errors"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// board is a mailbox as all sessions of the server share it: the newest
// snapshot that one of them asked for. Whoever wants a newer one brings the
// board up to date with the store, once for all; nobody holds it while writing
// to a client.
type board struct {
	turn   chan struct{} // held by who reads or changes what follows; a mutex that a context can end waiting for
	newest *snapshot     // nil: not loaded yet
	words  keywordTable

	id      storage.MailboxID // this and the rest are the registry's; see boards
	users   int               // sessions that have it
	element *list.Element     // among those that nobody has; nil: somebody has it
	octets  int64             // as counted there
}

func newBoard(id storage.MailboxID) *board { return &board{id: id, turn: make(chan struct{}, 1)} }

func (b *board) take(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}: // a context that nobody waits for takes less memory
		return nil
	default:
	}
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *board) give() { <-b.turn }

// catchUp returns the mailbox as it is now. box is the board's mailbox, as the
// session that asks has it open.
func (b *board) catchUp(ctx context.Context, box storage.Mailbox) (*snapshot, error) {
	if err := b.take(ctx); err != nil {
		return nil, err
	}
	defer b.give()
	st, err := box.Status(ctx)
	switch {
	case err != nil:
		return nil, err
	case b.newest == nil || b.newest.validity != st.UIDValidity:
		return b.load(ctx, box, st)
	case b.newest.changed == st.HighestModSeq:
		return b.newest, nil
	}
	return b.refresh(ctx, box, st)
}

// load reads the whole mailbox.
func (b *board) load(ctx context.Context, box storage.Mailbox, st storage.Status) (*snapshot, error) {
	words := keywordTable{keywords: keywords{epoch: b.words.epoch + 1}}
	build := builder{refs: make([]ref, 0, st.Messages/chunkSize+1), open: make([]entry, 0, min(st.Messages+1, chunkSize))}
	for m, err := range box.Messages(ctx, 0) {
		if err != nil {
			return nil, err
		}
		build.add(newEntry(m, words.pack(m.Flags)))
	}
	build.seal()
	s := &snapshot{
		refs: build.refs, count: build.count, keywords: words.keywords, validity: st.UIDValidity,
		changed: st.HighestModSeq, expunged: st.HighestModSeq,
	}
	s.next = max(st.UIDNext, s.last()+1)
	b.words, b.newest = words, s
	return s, nil
}

// refresh asks the store for everything that happened since the last time.
// HighestModSeq was asked first: what happened in between is seen now or is
// seen again the next time, and seeing it twice changes nothing.
func (b *board) refresh(ctx context.Context, box storage.Mailbox, st storage.Status) (*snapshot, error) {
	old := b.newest
	next := max(old.next, st.UIDNext)
	var puts []entry
	at := cursor{refs: old.refs}
	for m, err := range box.Messages(ctx, old.changed) {
		if err != nil {
			return nil, err
		}
		if known := at.seek(m.UID); known == nil && m.UID < old.next || known != nil && known.modseq >= m.ModSeq {
			continue
		}
		puts = append(puts, newEntry(m, b.words.pack(m.Flags)))
		next = max(next, m.UID+1)
	}
	gone, err := old.removed(ctx, box)
	if err != nil {
		return nil, err
	}
	s := old.edit(puts, gone)
	s.next, s.keywords = next, b.words.keywords
	s.changed, s.expunged = st.HighestModSeq, st.HighestModSeq
	if len(s.keywords.sets) > s.count+spareSets {
		s = b.words.forget(s)
	}
	b.newest = s
	return s, nil
}

// removed returns the UIDs that were expunged since the snapshot was taken,
// or, when the store does not remember that far, those that it no longer has.
func (s *snapshot) removed(ctx context.Context, box storage.Mailbox) (imap.UIDSet, error) {
	set, err := box.Expunged(ctx, s.expunged)
	if !errors.Is(err, storage.ErrResync) {
		return set, err
	}
	var n news
	c := cursor{refs: s.refs}
	for m, err := range box.Messages(ctx, 0) {
		if err != nil {
			return nil, err
		}
		for ; c.more() && c.entry().uid < m.UID; c.next() {
			n.lose(c.index(), c.entry().uid)
		}
		if c.more() && c.entry().uid == m.UID {
			c.next()
		}
	}
	for ; c.more(); c.next() {
		n.lose(c.index(), c.entry().uid)
	}
	return n.goneUID, nil
}
