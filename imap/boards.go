package imap

import (
	"container/list"
	"sync"

	"github.com/posthouse-mail/posthouse/storage"
)

// boards are the mailboxes that sessions have selected, and those that nobody
// has selected any more, as many as fit into a number of octets: selecting
// one of them again costs only what changed. The zero value is ready.
type boards struct {
	mu     sync.Mutex
	of     map[storage.MailboxID]*board
	idle   list.List // of *board, that which was given back last in front
	octets int64     // of those
}

// open returns the board of a mailbox, which close gives back.
func (bs *boards) open(id storage.MailboxID) *board {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := bs.of[id]
	if b == nil {
		if bs.of == nil {
			bs.of = make(map[storage.MailboxID]*board)
		}
		b = newBoard(id)
		bs.of[id] = b
	}
	bs.wake(b)
	b.users++
	return b
}

// wake takes a board off the list of those that nobody has.
func (bs *boards) wake(b *board) {
	if b.element != nil {
		bs.idle.Remove(b.element)
		bs.octets -= b.octets
		b.element = nil
	}
}

// close gives a board back. Those that nobody has stay in memory up to most
// octets; the ones that were not used for the longest time go first.
func (bs *boards) close(b *board, most int64) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if b.users--; b.users > 0 || bs.of[b.id] != b {
		return
	}
	if !b.keeps() {
		delete(bs.of, b.id)
		return
	}
	b.octets = b.newest.octets()
	b.element = bs.idle.PushFront(b)
	for bs.octets += b.octets; bs.octets > max(most, 0); {
		oldest := bs.idle.Back().Value.(*board)
		bs.wake(oldest)
		delete(bs.of, oldest.id)
	}
}

// keeps reports whether a board that nobody has is worth keeping. One that is
// full of names of keywords is not: it could learn no new ones.
func (b *board) keeps() bool { return b.newest != nil && len(b.words.names) < maxKeywords }

// forget drops the board of a mailbox that is no more. Sessions that have it
// find that out by themselves.
func (bs *boards) forget(id storage.MailboxID) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if b := bs.of[id]; b != nil {
		bs.wake(b)
		delete(bs.of, id)
	}
}
