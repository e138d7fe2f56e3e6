package local

import (
	"context"
	"math"

	"golang.org/x/sync/errgroup"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
)

const (
	arriveOctets = 8 << 20 // of bodies that are stored at once
	arriveBodies = 512
	arriveAtOnce = 128     // changes at once, which share their syncs
	arriveMemory = 1 << 20 // of a body; the rest of it is spooled
)

// arrived is a body that was read and is not stored yet.
type arrived struct {
	there engine.BlobID
	*message.Spool
}

// body reads a body. Those of a batch are stored together.
func (u *unpacker) body(ctx context.Context, content []byte) error {
	r := &reader{rest: content}
	there, size := engine.BlobID(r.number()), int64(r.upTo(math.MaxInt64))
	if r.end() != nil || there <= max(u.last, u.head.since) {
		return badArchive("body %x is out of order", uint64(there))
	}
	b := arrived{there, message.NewSpool(u.o.SpoolDir, arriveMemory)}
	if err := u.data(b, size); err != nil {
		b.Close()
		return err
	}
	u.last = there
	u.sent++
	u.batch, u.held = append(u.batch, b), u.held+min(size, arriveMemory)
	if u.held >= arriveOctets || len(u.batch) == arriveBodies {
		return u.flush(ctx)
	}
	return nil
}

func (u *unpacker) data(b arrived, size int64) error {
	for b.Size() < size {
		kind, content, err := u.r.next()
		if err != nil {
			return err
		}
		if kind != frameData || len(content) == 0 || int64(len(content)) > size-b.Size() {
			return badArchive("body %x has not the octets that it should have", uint64(b.there))
		}
		if _, err := b.Write(content); err != nil {
			return err
		}
	}
	return nil
}

// flush begins to store the batch, while the next one is read, when the one
// before is stored.
func (u *unpacker) flush(ctx context.Context) error {
	if err := u.wait(); err != nil || len(u.batch) == 0 {
		return err
	}
	now := u.arrival
	now.upto = max(now.upto, u.last)
	batch := u.batch
	u.batch, u.held = nil, 0
	u.storing = make(chan stored, 1)
	go func() { u.storing <- stored{now, u.storeAll(ctx, batch, now)} }()
	return nil
}

// stored is what became of a batch.
type stored struct {
	arrival // how far it has come, if err is nil
	err     error
}

// wait waits for the batch that is being stored, if there is one.
func (u *unpacker) wait() error {
	if u.storing == nil {
		return nil
	}
	done := <-u.storing
	u.storing = nil
	if done.err == nil {
		u.arrival = done.arrival
	}
	return done.err
}

// settled is flush for who goes on when all is stored.
func (u *unpacker) settled(ctx context.Context) error {
	if err := u.flush(ctx); err != nil {
		return err
	}
	return u.wait()
}

// storeAll stores a batch, and then says that it is here.
func (u *unpacker) storeAll(ctx context.Context, batch []arrived, now arrival) error {
	defer func() {
		for _, b := range batch {
			b.Close()
		}
	}()
	var all errgroup.Group
	all.SetLimit(arriveAtOnce)
	for _, b := range batch {
		all.Go(func() error { return u.store(ctx, b) })
	}
	if err := all.Wait(); err != nil {
		return err
	}
	return u.s.commit(ctx, nil, func(t tx) error { t.Set(arrivalKey(u.user), now.append(nil)); return nil })
}

// store stores a body, unless it is here.
func (u *unpacker) store(ctx context.Context, b arrived) error {
	key := arrivedKey(u.listed, b.there)
	if _, ok, err := u.s.e.Get(key); err != nil || ok { // nobody else stores it: see arriving
		return err
	}
	err := u.s.commit(ctx, b.Spool, func(t tx) error {
		t.Set(key, appendArrived(nil, t.Blob()))
		t.Ref(t.Blob(), 1)
		return nil
	})
	if err == nil {
		u.new.Add(1)
	}
	return err
}

// drop forgets what is read and not stored.
func (u *unpacker) drop() {
	_ = u.wait()
	for _, b := range u.batch {
		b.Close()
	}
	u.batch, u.held = nil, 0
}
