package imap

import (
	"context"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// oldName writes the extended data item of LIST that says how a mailbox was
// called before, or by who asked for it (RFC 9051 §6.3.9.7).
func (o *output) oldName(name string) {
	o.text(` ("OLDNAME" (`)
	o.mailbox(name)
	o.text("))")
}

// isOther reports whether a client of IMAP4rev2 must be told that a mailbox is
// not called what it asked for: names are normalized (RFC 9051 §5.1).
func (s *session) isOther(name, asked string) bool {
	return s.enabled(rev2) && name != asked && !strings.EqualFold(name, storage.Inbox)
}

// tellNormalized tells the name of a mailbox that was just made, when it is not
// the one that was asked for.
func (s *session) tellNormalized(ctx context.Context, name, asked string) error {
	if !s.isOther(name, asked) {
		return nil
	}
	return s.tellNames(ctx, name, func(now string) (old string) {
		if now == name {
			return asked
		}
		return ""
	})
}

// tellRenamed tells a client of IMAP4rev2 what a mailbox, which is no INBOX, and
// those below it are called now. Where NOTIFY is in force it is told by that.
func (s *session) tellRenamed(ctx context.Context, from, to string) error {
	if !s.enabled(rev2) || s.notify.Load().watching() {
		return nil
	}
	return s.tellNames(ctx, to, func(now string) (old string) {
		if old = renamed(now, to, from); old == now {
			return ""
		}
		return old
	})
}

// tellNames sends LIST for the mailboxes, a named one and those below it, of
// which old knows an old name.
func (s *session) tellNames(ctx context.Context, name string, old func(now string) string) error {
	infos, err := s.reachable(ctx, []*listPattern{newListPattern(name), newListPattern(name + storage.Separator + "*")})
	if err != nil {
		return err
	}
	t := newTree(infos)
	for _, info := range infos {
		if name := old(info.Name); name != "" && info.ID != 0 {
			s.tellMailbox(info, t, name)
		}
	}
	return nil
}
