package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// UnpackOptions say how an account is unpacked. The zero value is usable.
type UnpackOptions struct {
	Replace  bool   // an account of this user that has mail goes when the new one comes
	SpoolDir string // for bodies of a megabyte and more while they arrive; empty: os.TempDir
}

// Unpacked is what Unpack has read.
type Unpacked struct {
	Whole     bool   // the account is here now
	State     string // otherwise: the Since of the next Pack
	Mailboxes int64
	Messages  int64 // with those that are retained
	Bodies    int64 // that were not here before
	Renamed   int64 // mailboxes that have another MAILBOXID than they had, since theirs is taken here
}

// Unpack reads what Pack of another store wrote of a user's account. An archive
// of Bodies leaves them here for an archive that comes later; one of the whole
// account makes the account, in one change: before it there is nothing to be
// seen of it, and after it all. After an error nothing is to be seen either,
// what has arrived of the bodies stays for the next Unpack (see Arrived), and
// everything else is cleared away. Nothing is read behind the end of the
// archive, whatever it holds.
//
// Of what an archive says nothing is believed that a client of this store could
// not have made so. Quotas are not looked at. An account that has no mail is
// replaced, as one is that a login has made; of one that is frozen, Replace and
// then the new one end that.
//
// Memory is 30 MiB, and what the tree of mailboxes takes, 64 MiB at most
// (ErrLimit). Errors are ErrBadArchive, ErrOtherArchive, ErrAccountExists,
// ErrBusy and those of r.
func (s *Store) Unpack(ctx context.Context, user string, r io.Reader, o UnpackOptions) (Unpacked, error) {
	if err := s.ready(ctx); err != nil {
		return Unpacked{}, err
	}
	if err := checkUser(user); err != nil {
		return Unpacked{}, err
	}
	if !s.arriving.enter(user) {
		return Unpacked{}, fmt.Errorf("%w: it is being unpacked", ErrBusy)
	}
	defer s.arriving.leave(user)
	u := &unpacker{s: s, user: user, o: o}
	defer u.close()
	err := u.run(ctx, r)
	u.sum.Bodies = u.new.Load()
	return u.sum, failure(err)
}

// unpacker is one Unpack.
type unpacker struct {
	s    *Store
	user string
	o    UnpackOptions
	r    *frameReader
	head archiveHead
	sum  Unpacked

	arrival
	last    engine.BlobID // of the archive, that was read
	sent    int64         // bodies of the archive
	batch   []arrived     // read, and not stored yet
	held    int64         // octets of batch in memory
	storing chan stored   // tells of the batch before; nil: there is none
	new     atomic.Int64  // bodies that were stored

	*coming // nil: not yet
}

func (u *unpacker) run(ctx context.Context, r io.Reader) (err error) {
	if u.r, err = newFrameReader(r); err != nil {
		return err
	}
	if err := u.begin(ctx); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		kind, content, err := u.r.next()
		if err != nil {
			return errors.Join(err, u.settled(context.WithoutCancel(ctx)))
		}
		switch {
		case kind == frameBody && u.coming == nil:
			err = u.body(ctx, content)
		case kind == frameEnd:
			return u.end(ctx, content)
		case u.head.part == Bodies:
			err = badArchive("it has more than bodies")
		default:
			err = u.meta(ctx, kind, content)
		}
		if err != nil {
			return err
		}
	}
}

// begin reads the head, and finds out what has arrived before.
func (u *unpacker) begin(ctx context.Context) error {
	kind, content, err := u.r.next()
	if err != nil {
		return err
	}
	if kind != frameHead {
		return badArchive("it has no head")
	}
	if u.head, err = parseArchiveHead(content); err != nil {
		return err
	}
	if u.head.user != u.user {
		return fmt.Errorf("%w: it is of the account %q", ErrOtherArchive, u.head.user)
	}
	if u.head.part == Whole {
		if err := u.s.replaceable(ctx, u.user, u.o); err != nil {
			return err
		}
	}
	a, ok, err := getArrival(u.s.e, u.user)
	switch fits := ok && a.source == u.head.source; {
	case err != nil:
		return err
	case fits && u.head.since <= a.upto:
		u.arrival = a
		return nil
	case u.head.since > 0:
		return fmt.Errorf("%w: it goes on from %v, and here is %q", ErrOtherArchive, archiveState{u.head.source, u.head.since}, a.String())
	}
	return u.newArrival(ctx)
}

// newArrival begins an arrival. Another one, of another source, is given up.
func (u *unpacker) newArrival(ctx context.Context) error {
	err := u.s.commit(ctx, nil, func(t tx) error {
		u.arrival = arrival{t.newAccountID(), archiveState{source: u.head.source}}
		t.saveCounters()
		t.Set(arrivalKey(u.user), u.arrival.append(nil))
		return nil
	})
	u.s.purger.wake()
	return err
}

// end is reached with the last frame.
func (u *unpacker) end(ctx context.Context, content []byte) error {
	r := &reader{rest: content}
	bodies, messages := r.number(), r.number()
	if r.end() != nil || bodies != uint64(u.sent) || messages != uint64(u.sum.Messages) {
		return badArchive("it has not what its end says")
	}
	if err := u.settled(ctx); err != nil {
		return err
	}
	if u.head.part == Bodies {
		u.sum.State = u.archiveState.String()
		return nil
	}
	if u.coming == nil {
		return badArchive("it has no account")
	}
	if err := u.finish(ctx); err != nil {
		return err
	}
	u.sum.Whole = true
	return nil
}

// replaceable returns ErrAccountExists when there is an account of the user
// that must stay.
func (s *Store) replaceable(ctx context.Context, user string, o UnpackOptions) error {
	rec, ok, err := getAccount(s.e, user)
	if err != nil || !ok || o.Replace {
		return err
	}
	snap := s.e.Snapshot()
	defer snap.Close()
	return hasNoMail(moment{snap, ctx}, rec.id)
}

// hasNoMail returns ErrAccountExists when an account has messages, or retained
// ones.
func hasNoMail(r reading, id accountID) error {
	err := r.Scan(numberKey(keyName, uint64(id)), behind(keyName, uint64(id)), func(_, v []byte) error {
		b, err := parseBox(v)
		if err != nil {
			return err
		}
		st, err := getState(r, b.id)
		if err == nil && st.messages > 0 {
			err = ErrAccountExists
		}
		return err
	})
	if err == nil {
		err = r.Scan(keptKey(id, storage.RetainedID(0)), behind(keyKept, uint64(id)), func(_, _ []byte) error { return ErrAccountExists })
	}
	return err
}
