package local

import "github.com/posthouse-mail/posthouse/storage"

// live is what memory knows of a mailbox in use. All but the state is the
// committer's.
type live struct {
	id    storage.MailboxID
	state state      // as it is on disk; zero: nobody has read it; see Store.mu
	last  *boxChange // the last change that is pending

	// The rows of the page that is not complete, as the change with ModSeq
	// tailed left them; none when nobody knows.
	tail   chunk
	tailed uint64
	grew   bool // since tails last looked at it
}

// live returns what memory knows of a mailbox. It is for the committer.
func (s *Store) live(id storage.MailboxID) *live {
	if l := s.latest; l != nil && l.id == id {
		return l
	}
	l, ok := s.lives.young[id]
	if !ok {
		if l = s.lives.old[id]; l == nil {
			l = &live{id: id}
		}
		s.mu.Lock()
		s.lives.add(id, l)
		s.mu.Unlock()
	}
	s.latest = l
	return l
}

// tails are the mailboxes whose tails are in memory: as many as maxTails of
// those that got mail lately.
type tails struct {
	of   []*live
	hand int
}

const maxTails = 2000

// keep makes rows the tail of a mailbox, if need be in the place of the next
// one that got no mail since the last round.
func (ts *tails) keep(l *live, rows chunk, modSeq uint64) {
	had := l.tail.rows != nil
	l.tail, l.tailed, l.grew = rows, modSeq, true
	switch {
	case had:
		return
	case len(ts.of) < maxTails:
		ts.of = append(ts.of, l)
		return
	}
	for ts.of[ts.hand].grew {
		ts.of[ts.hand].grew = false
		ts.hand = (ts.hand + 1) % maxTails
	}
	ts.of[ts.hand].tail = chunk{}
	ts.of[ts.hand] = l
}
