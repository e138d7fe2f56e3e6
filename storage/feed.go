package storage

import (
	"container/list"
	"context"
	"sync"
)

// FeedBound is how many changes wait in a feed that is not told another bound.
const FeedBound = 1024

// Feed is the changes of one account for one subscriber, who may be slow. It
// promises that
//
//   - Next returns changes in the order in which they were committed, from the
//     moment when NewFeed returned;
//   - a change is left out only when a later one of the same mailbox (or of
//     the list) follows, and only while the subscriber is behind: of each
//     mailbox the earliest change that waits and the latest are kept;
//   - at most bound changes wait, about 150 octets each. When one more would,
//     all are dropped and Next returns ErrResync, once; it goes on with the
//     changes committed after it returned that.
//
// A subscriber that asks a changed mailbox for its Messages and Expunged since
// the ModSeq that it knows misses nothing; one that gets ErrResync does so with
// every mailbox. Methods are safe for concurrent use. Make one with NewFeed and
// close it.
type Feed struct{ b *backlog }

// NewFeed begins to follow an account. With bound 0 or less it is FeedBound.
func NewFeed(a Account, bound int) *Feed {
	b := newBacklog(bound)
	b.stop = a.Watch(func(c Change) { b.add(UserChange{Change: c}) })
	return &Feed{b}
}

// Next waits for the next change and returns it. ErrResync when changes were
// dropped, ErrClosed after Close, or the error of ctx. The end of the store or
// of the account is not told; the latter's last changes are.
func (f *Feed) Next(ctx context.Context) (Change, error) {
	c, err := f.b.next(ctx)
	return c.Change, err
}

// Close ends the feed. Whoever waits in Next gets ErrClosed. A second Close
// does nothing.
func (f *Feed) Close() { f.b.close() }

// StoreFeed is the changes of all accounts of a store for one subscriber, such
// as an indexer. It promises for the whole store what a Feed does for one
// account.
type StoreFeed struct{ b *backlog }

// NewStoreFeed begins to follow a store. With bound 0 or less it is FeedBound.
func NewStoreFeed(w Watcher, bound int) *StoreFeed {
	b := newBacklog(bound)
	b.stop = w.WatchAll(func(user string, c Change) { b.add(UserChange{user, c}) })
	return &StoreFeed{b}
}

// Next waits for the next change and returns it, with errors as in Feed.Next.
func (f *StoreFeed) Next(ctx context.Context) (UserChange, error) { return f.b.next(ctx) }

// Close ends the feed. Whoever waits in Next gets ErrClosed. A second Close
// does nothing.
func (f *StoreFeed) Close() { f.b.close() }

// backlog is the changes that a subscriber has not taken yet.
type backlog struct {
	bound  int
	stop   func()
	signal chan struct{} // has room for one: there may be something to take
	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex
	waiting list.List           // of UserChange, in the order of commits
	places  map[subject]*places // where those of each mailbox stand
	lost    bool                // changes were dropped and the subscriber does not know
}

// subject is what a change is about: a mailbox, or the list of an account.
type subject struct {
	user    string
	mailbox MailboxID
}

// places are the earliest change of a subject that waits and the latest, which
// is nil while there is but one.
type places struct{ first, last *list.Element }

func newBacklog(bound int) *backlog {
	if bound <= 0 {
		bound = FeedBound
	}
	return &backlog{bound: bound, signal: make(chan struct{}, 1), closed: make(chan struct{}), places: make(map[subject]*places)}
}

// add is called by the store and must not wait.
func (b *backlog) add(c UserChange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost { // the subscriber will read everything anew, later than this
		return
	}
	at := subject{c.User, c.Mailbox}
	p := b.places[at]
	if p != nil && p.last != nil {
		b.waiting.Remove(p.last)
		p.last = b.waiting.PushBack(c)
		return
	}
	switch {
	case b.waiting.Len() == b.bound:
		b.waiting.Init()
		clear(b.places)
		b.lost = true
	case p == nil:
		b.places[at] = &places{first: b.waiting.PushBack(c)}
	default:
		p.last = b.waiting.PushBack(c)
	}
	b.wake()
}

func (b *backlog) wake() {
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

func (b *backlog) next(ctx context.Context) (UserChange, error) {
	for {
		if err := ctx.Err(); err != nil {
			return UserChange{}, err
		}
		select {
		case <-b.closed:
			return UserChange{}, ErrClosed
		default:
		}
		if c, err, ok := b.take(); ok {
			return c, err
		}
		select {
		case <-b.signal:
		case <-b.closed:
		case <-ctx.Done():
		}
	}
}

// take returns the change that waited longest, or ErrResync. ok is false when
// there is neither.
func (b *backlog) take() (c UserChange, err error, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost {
		b.lost = false
		return UserChange{}, ErrResync, true
	}
	front := b.waiting.Front()
	if front == nil {
		return UserChange{}, nil, false
	}
	c = b.waiting.Remove(front).(UserChange)
	at := subject{c.User, c.Mailbox}
	if p := b.places[at]; p.last != nil {
		p.first, p.last = p.last, nil
	} else {
		delete(b.places, at)
	}
	if b.waiting.Len() > 0 { // for another who waits
		b.wake()
	}
	return c, nil, true
}

// close must not hold the lock while it stops the store's calls, which take it.
func (b *backlog) close() {
	b.once.Do(func() {
		close(b.closed)
		b.stop()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.waiting.Init()
		clear(b.places)
	})
}
