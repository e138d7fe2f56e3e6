package pop3

import (
	"context"
	"errors"
	"strconv"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// seenBatch is how many messages are marked as seen in one change.
const seenBatch = 64

// maildrop is what a session sees: the messages of INBOX at its beginning.
type maildrop struct {
	user     string
	box      storage.Mailbox
	validity uint32
	messages []entry
	seen     []imap.UID // read, not yet marked in the store
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
	wasSeen                        // has \Seen, or will have
)

func openMaildrop(ctx context.Context, s storage.Store, user string) (*maildrop, error) {
	account, err := s.Account(ctx, user)
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
	d := &maildrop{user: user, box: box, validity: status.UIDValidity, messages: make([]entry, 0, status.Messages)}
	for m, err := range box.Messages(ctx, 0) {
		if err != nil {
			return nil, err
		}
		e := entry{size: m.Size, uid: m.UID}
		if m.Flags.Has(storage.Seen) {
			e.state = wasSeen
		}
		d.messages = append(d.messages, e)
	}
	return d, nil
}

// totals counts the messages that are not marked as deleted.
func (d *maildrop) totals() (count int, size int64) {
	for i := range d.messages {
		if e := &d.messages[i]; e.state&deleted == 0 {
			count++
			size += e.size
		}
	}
	return count, size
}

// entry returns the message with a number of the protocol, from 1 on.
func (d *maildrop) entry(number string) (n int, e *entry, err error) {
	n, err = strconv.Atoi(number)
	if err != nil || n < 1 || n > len(d.messages) || number[0] == '+' {
		return 0, nil, wrong("No such message")
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

func (d *maildrop) uniqueID(e *entry) string {
	return strconv.FormatUint(uint64(d.validity), 10) + "." + strconv.FormatUint(uint64(e.uid), 10)
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

// read remembers that a message was read to its end.
func (d *maildrop) read(ctx context.Context, e *entry) {
	if e.state&wasSeen != 0 {
		return
	}
	e.state |= wasSeen
	if d.seen = append(d.seen, e.uid); len(d.seen) >= seenBatch {
		d.markSeen(ctx)
	}
}

// markSeen sets \Seen where it is due. A failure costs the flag, not the mail.
func (d *maildrop) markSeen(ctx context.Context) {
	if len(d.seen) == 0 {
		return
	}
	_, _, _ = d.box.StoreFlags(ctx, storage.FlagUpdate{
		UIDs: imap.UIDSetNum(d.seen...), Op: imap.StoreFlagsAdd, Flags: storage.Flags{System: storage.Seen},
	})
	d.seen = d.seen[:0]
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
