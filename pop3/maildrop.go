package pop3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// maildrop is what a session sees: the messages of INBOX at its beginning.
type maildrop struct {
	server    *Server
	user      string
	box       storage.Mailbox
	validity  uint32
	since     uint64 // ModSeq at the beginning
	messages  []entry
	retrieved int
	seen      marker

	changed atomic.Bool // somebody changed INBOX
	unwatch func()
}

// entry is a message of the maildrop.
type entry struct {
	size  int64
	uid   imap.UID
	state entryState
}

type entryState uint8

const (
	deleted entryState = 1 << iota // marked by DELE
	gone                           // expunged by somebody else
	seen                           // has \Seen, or will have
)

// openMaildrop takes the list of messages at this moment.
func (s *Server) openMaildrop(ctx context.Context, n *session, user string) (*maildrop, error) {
	account, err := storage.UserAccount(ctx, s.Store, user)
	if err != nil {
		return nil, err
	}
	box, err := account.Mailbox(ctx, storage.Inbox)
	if err != nil {
		return nil, err
	}
	status, err := box.Status(ctx)
	if err != nil {
		return nil, err
	}
	d := &maildrop{
		server: s, user: user, box: box, validity: status.UIDValidity, since: status.HighestModSeq,
		messages: make([]entry, 0, min(int(status.Messages), n.limits.Messages)),
	}
	d.seen = marker{box: box, failed: func(err error) {
		n.log(context.WithoutCancel(ctx), slog.LevelWarn, "messages not marked as seen", "err", err)
	}}
	for m, err := range box.Messages(ctx, 0) {
		if err != nil {
			return nil, err
		}
		if len(d.messages) == n.limits.Messages {
			break
		}
		e := entry{size: m.Size, uid: m.UID}
		if m.Flags.Has(storage.Seen) {
			e.state = seen
		}
		d.messages = append(d.messages, e)
	}
	d.unwatch = account.Watch(func(c storage.Change) {
		if c.Mailbox == box.ID() {
			d.changed.Store(true)
		}
	})
	d.changed.Store(true) // since is older than the watch
	return d, nil
}

// close ends the work that is done for the session.
func (d *maildrop) close() {
	d.unwatch()
	d.seen.wait()
}

// totals counts the messages that are not marked as deleted, as they were at
// the beginning.
func (d *maildrop) totals() (count int, size int64) {
	for i := range d.messages {
		if e := &d.messages[i]; e.state&deleted == 0 {
			count++
			size += e.size
		}
	}
	return count, size
}

func (d *maildrop) total() string {
	count, size := d.totals()
	return fmt.Sprintf("%d messages (%d octets)", count, size)
}

// number reads a number of the protocol: digits alone.
func number(text string) (int, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// entry returns the message with a number of the protocol, from 1 on.
func (d *maildrop) entry(text string) (n int, e *entry, err error) {
	n, ok := number(strings.TrimRight(text, " "))
	if !ok {
		return 0, nil, misunderstood("A message number is expected")
	}
	if n < 1 || n > len(d.messages) {
		return 0, nil, refuse("No such message")
	}
	e = &d.messages[n-1]
	if e.state&deleted != 0 {
		return 0, nil, refuse("Message is deleted")
	}
	return n, e, nil
}

// listed is the size that LIST shows.
func (e *entry) listed() int64 {
	if e.state&gone != 0 {
		return 0
	}
	return e.size
}

// open opens a message's content.
func (d *maildrop) open(ctx context.Context, e *entry) (message.OpenBody, error) {
	body, err := d.box.Open(ctx, e.uid)
	if errors.Is(err, storage.ErrNoMessage) || errors.Is(err, storage.ErrNoMailbox) {
		e.state |= gone
		return nil, refuse("Message is gone")
	}
	return body, err
}

// findGone learns which messages somebody else has expunged. Failing that,
// LIST shows their old sizes until RETR finds them missing.
func (d *maildrop) findGone(ctx context.Context) {
	if !d.changed.Swap(false) {
		return
	}
	uids, err := d.box.Expunged(ctx, d.since)
	if err != nil {
		return
	}
	for _, r := range uids {
		i, _ := slices.BinarySearchFunc(d.messages, r.Start, func(e entry, uid imap.UID) int { return cmp.Compare(e.uid, uid) })
		for ; i < len(d.messages) && d.messages[i].uid <= r.Stop; i++ {
			d.messages[i].state |= gone
		}
	}
}

// retrieve remembers that a message was sent to its end.
func (d *maildrop) retrieve(e *entry) {
	d.retrieved++
	if e.state&seen == 0 {
		e.state |= seen
		d.seen.add(e.uid)
	}
}

// expunge deletes the marked messages for good.
func (d *maildrop) expunge(ctx context.Context) error {
	var uids imap.UIDSet
	for i := range d.messages {
		if e := &d.messages[i]; e.state&deleted != 0 {
			uids.AddNum(e.uid)
		}
	}
	if len(uids) == 0 {
		return nil
	}
	_, err := d.box.Expunge(ctx, uids)
	return err
}
