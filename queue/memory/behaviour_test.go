package memory

import (
	"context"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
)

// behaviour is how a queue does what it is asked: as this package does it, but
// for what a fault changed.
type behaviour struct {
	sync     func()          // makes everything durable
	unsynced map[string]bool // methods that return before what they did is durable
	restart  func(*Queue)    // what becomes of a queue that is opened after a crash; nil: nothing

	put     func(*Queue, context.Context, *queue.Message) (queue.ID, error)
	claim   func(*Queue, context.Context, int, time.Duration) ([]queue.Claim, error)
	settle  func(*Queue, context.Context, queue.Claim, []queue.Outcome) error
	next    func(*Queue) (time.Time, <-chan struct{})
	list    func(*Queue, context.Context, func(queue.Entry) bool) error
	content func(*Queue, context.Context, queue.ID) (message.OpenBody, error)
	retry   func(*Queue, context.Context, []queue.ID) (int, error)
	remove  func(*Queue, context.Context, []queue.ID) (int, error)
	wake    func(*Queue, context.Context, string) (int, error)
	release func(*Queue, context.Context, queue.Claim) error
	limit   func(*Queue, int)
}

func good() *behaviour {
	return &behaviour{
		unsynced: make(map[string]bool),

		put:     (*Queue).Put,
		claim:   (*Queue).Claim,
		settle:  (*Queue).Settle,
		next:    (*Queue).Next,
		list:    (*Queue).List,
		content: (*Queue).Content,
		retry:   (*Queue).Retry,
		remove:  (*Queue).Remove,
		wake:    (*Queue).Wake,
		release: (*Queue).Release,
		limit:   (*Queue).Limit,
	}
}

// disk is what a queue would find after a crash.
type disk struct {
	change sync.Mutex // held while a change is made and brought here, so that nobody makes it durable before
	saved  sync.Mutex
	left   *Queue
}

// mutant is a queue with a behaviour.
type mutant struct {
	*Queue
	how  *behaviour
	disk *disk // nil: nobody will ask
}

// save brings everything to the disk.
func (x *mutant) save() {
	if x.disk != nil {
		x.disk.saved.Lock()
		defer x.disk.saved.Unlock()
		x.disk.left = x.clone()
	}
}

// durably makes a change and brings it to the disk, if it is to be there.
func durably[T any](x *mutant, method string, f func() (T, error)) (T, error) {
	if x.disk == nil {
		return f()
	}
	x.disk.change.Lock()
	defer x.disk.change.Unlock()
	v, err := f()
	if err == nil && !x.how.unsynced[method] {
		x.save()
	}
	return v, err
}

func (x *mutant) Put(ctx context.Context, m *queue.Message) (queue.ID, error) {
	return durably(x, "Put", func() (queue.ID, error) { return x.how.put(x.Queue, ctx, m) })
}

func (x *mutant) Claim(ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
	return x.how.claim(x.Queue, ctx, n, lease)
}

func (x *mutant) Settle(ctx context.Context, c queue.Claim, outcomes []queue.Outcome) error {
	_, err := durably(x, "Settle", func() (struct{}, error) { return struct{}{}, x.how.settle(x.Queue, ctx, c, outcomes) })
	return err
}

func (x *mutant) Next() (time.Time, <-chan struct{}) { return x.how.next(x.Queue) }

func (x *mutant) List(ctx context.Context, yield func(queue.Entry) bool) error {
	return x.how.list(x.Queue, ctx, yield)
}

func (x *mutant) Content(ctx context.Context, id queue.ID) (message.OpenBody, error) {
	return x.how.content(x.Queue, ctx, id)
}

func (x *mutant) Retry(ctx context.Context, ids []queue.ID) (int, error) {
	return durably(x, "Retry", func() (int, error) { return x.how.retry(x.Queue, ctx, ids) })
}

func (x *mutant) Remove(ctx context.Context, ids []queue.ID) (int, error) {
	return durably(x, "Remove", func() (int, error) { return x.how.remove(x.Queue, ctx, ids) })
}

func (x *mutant) Wake(ctx context.Context, destination string) (int, error) {
	return durably(x, "Wake", func() (int, error) { return x.how.wake(x.Queue, ctx, destination) })
}

func (x *mutant) Release(ctx context.Context, c queue.Claim) error {
	return x.how.release(x.Queue, ctx, c)
}

func (x *mutant) Limit(perDestination int) { x.how.limit(x.Queue, perDestination) }
