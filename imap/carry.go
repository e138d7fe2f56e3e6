package imap

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// maxCarried bounds the messages that one command copies into another account,
// about 300 octets each. How many octets can be one change the store says.
const maxCarried = 10_000

// copyTo copies messages of the selected mailbox to a place, all or none.
func (s *session) copyTo(ctx context.Context, uids imap.UIDSet, dest *place) (storage.Copied, error) {
	if s.view.near(dest) {
		return s.view.box.Copy(ctx, uids, dest.name)
	}
	return s.carry(ctx, uids, dest)
}

// moveTo moves messages of the selected mailbox to a place. What is copied and
// can't be removed any more stays in both.
func (s *session) moveTo(ctx context.Context, uids imap.UIDSet, dest *place) (storage.Copied, error) {
	v := s.view
	if v.near(dest) {
		return v.box.Move(ctx, uids, dest.name)
	}
	c, err := s.carry(ctx, uids, dest)
	if err != nil || len(c.Source) == 0 {
		return c, err
	}
	_, err = v.box.Expunge(ctx, imap.UIDSetNum(c.Source...))
	return c, err
}

// near reports whether the store itself can copy to a place: it is in the same
// account, and all flags can go with the messages.
func (v *view) near(dest *place) bool {
	return dest.owner == v.home.owner && dest.rights&flagRights == flagRights
}

// carry copies messages as new ones, with those flags that the user may set
// there (RFC 4314 §4).
func (s *session) carry(ctx context.Context, uids imap.UIDSet, dest *place) (c storage.Copied, err error) {
	box, err := dest.open(ctx)
	if err != nil {
		return c, err
	}
	v := s.view
	from := &lender{ctx: ctx, box: v.box}
	defer from.end()
	var msgs []storage.NewMessage
	for _, r := range uids {
		for i, _ := v.find(r.Start); i < v.len() && v.at(i).uid <= r.Stop; i++ {
			if len(msgs) == maxCarried {
				return c, storage.ErrLimit
			}
			e := v.at(i)
			c.Source = append(c.Source, e.uid)
			msgs = append(msgs, storage.NewMessage{
				Body: &lent{from, e.uid, e.size()}, Flags: settableOf(dest.rights, v.flags(e)), Date: e.received(),
			})
		}
	}
	if c.Dest, err = box.Append(ctx, msgs...); err != nil {
		if errors.Is(from.failed, storage.ErrNoMessage) {
			err = errExpunged
		}
		return storage.Copied{}, err
	}
	if st, err := box.Status(ctx); err == nil {
		c.UIDValidity = st.UIDValidity
	}
	return c, nil
}

// lender opens messages of a mailbox for bodies that are read one after the
// other: one is open at a time.
type lender struct {
	ctx context.Context
	box storage.Mailbox

	mu     sync.Mutex
	uid    imap.UID
	body   message.OpenBody // of uid; nil: none is open
	failed error            // of opening
}

// lent is a message of a mailbox as the body of another one.
type lent struct {
	from *lender
	uid  imap.UID
	size int64
}

// Size is that of the message, in octets.
func (l *lent) Size() int64 { return l.size }

// ReadAt reads the message, which is opened when it is asked for.
func (l *lent) ReadAt(p []byte, off int64) (int, error) {
	f := l.from
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.body == nil || f.uid != l.uid {
		f.close()
		body, err := f.box.Open(f.ctx, l.uid)
		if err != nil {
			f.failed = err
			return 0, err
		}
		if body.Size() != l.size {
			body.Close()
			return 0, io.ErrUnexpectedEOF
		}
		f.uid, f.body = l.uid, body
	}
	return f.body.ReadAt(p, off)
}

// end closes what is open when nothing is read any more.
func (f *lender) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.close()
}

func (f *lender) close() {
	if f.body != nil {
		f.body.Close()
		f.body = nil
	}
}
