package imap

import (
	"cmp"
	"context"
	"iter"
	"math"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// along reads what a store knows of messages for somebody who goes through a
// mailbox by ascending UID: ahead, piece by piece, so that neither each message
// costs a question nor a large mailbox memory. Going back is allowed.
type along[T any] struct {
	read  func(ctx context.Context, uids imap.UIDSet) iter.Seq2[T, error]
	uidOf func(T) imap.UID
	ahead []T // of all messages with from <= UID < until
	from  imap.UID
	until uint64
	piece int // how many were read the last time
}

// How many messages are read ahead: few at first, who knows how many are wanted.
const (
	firstPiece = 64
	lastPiece  = 1024
)

// get returns what is known of a message; ok is false when it is gone.
func (a *along[T]) get(ctx context.Context, uid imap.UID) (v T, ok bool, err error) {
	if uid < a.from || uint64(uid) >= a.until {
		if err := a.fill(ctx, uid); err != nil {
			return v, false, err
		}
	}
	i, ok := slices.BinarySearchFunc(a.ahead, uid, func(v T, uid imap.UID) int { return cmp.Compare(a.uidOf(v), uid) })
	if !ok {
		return v, false, nil
	}
	return a.ahead[i], true, nil
}

func (a *along[T]) fill(ctx context.Context, from imap.UID) error {
	a.piece = min(max(2*a.piece, firstPiece), lastPiece)
	a.ahead, a.from, a.until = a.ahead[:0], from, math.MaxUint64
	for v, err := range a.read(ctx, imap.UIDSet{{Start: from, Stop: math.MaxUint32}}) {
		if err != nil {
			a.ahead, a.until = nil, 0
			return err
		}
		a.ahead = append(a.ahead, v)
		if len(a.ahead) == a.piece {
			a.until = uint64(a.uidOf(v)) + 1
			break
		}
	}
	return nil
}

// beside is what a store keeps beside the content of messages, read along.
type beside struct {
	dates *along[storage.SaveDate]
	ids   *along[storage.ObjectID]
}

// saved returns the save date of a message (RFC 8514). It is zero when it is
// not known; supported is false when the mailbox has none.
func (b *beside) saved(ctx context.Context, box storage.Mailbox, uid imap.UID) (d storage.SaveDate, supported bool, err error) {
	if b.dates == nil {
		dater, ok := storage.As[storage.SaveDater](box)
		if !ok {
			return d, false, nil
		}
		b.dates = &along[storage.SaveDate]{read: dater.SaveDates, uidOf: func(d storage.SaveDate) imap.UID { return d.UID }}
	}
	d, found, err := b.dates.get(ctx, uid)
	if err == nil && !found {
		err = storage.ErrNoMessage
	}
	return d, true, err
}

// object returns the names of a message's content and thread (RFC 8474).
func (b *beside) object(ctx context.Context, v *view, uid imap.UID) (id storage.ObjectID, err error) {
	if b.ids == nil {
		o, ok := storage.As[storage.ObjectIDs](v.box)
		if !ok {
			return storage.ObjectID{UID: uid, Email: placeID(v, uid)}, nil
		}
		b.ids = &along[storage.ObjectID]{read: o.ObjectIDs, uidOf: func(o storage.ObjectID) imap.UID { return o.UID }}
	}
	id, found, err := b.ids.get(ctx, uid)
	if err == nil && !found {
		err = storage.ErrNoMessage
	}
	return id, err
}
