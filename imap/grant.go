package imap

import (
	"context"
	"errors"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// grant gives a view the rights that its user has now.
func (v *view) grant(r storage.Rights) {
	v.rights = r
	v.readOnly = v.examined || r&writeRights == 0
}

// need returns an error when the rights on the selected mailbox, or EXAMINE,
// don't let its messages be changed in a way that needs all of these.
func (v *view) need(r storage.Rights) error {
	switch {
	case v.examined:
		return errReadOnly
	case v.rights&r != r:
		return errNoPerm
	}
	return nil
}

// follow watches the account of a selected mailbox that is somebody else's.
// Since its rights may have changed before, they are asked for again.
func (s *session) follow(ctx context.Context, p *place) {
	if p.owner != s.user {
		s.unfollow = p.account.Watch(func(c storage.Change) { s.noticeElsewhere(ctx, c) })
		s.stale.Store(true)
	}
}

// unfollowed ends what follow began. Nothing is noticed after it.
func (s *session) unfollowed() {
	if s.unfollow != nil {
		s.unfollow()
		s.unfollow = nil
	}
	s.stale.Store(false)
}

// noticeElsewhere is notice for the account of a selected mailbox that is
// somebody else's: a change of its list may be one of the rights.
func (s *session) noticeElsewhere(ctx context.Context, c storage.Change) {
	if c.Mailbox == 0 {
		s.stale.Store(true)
		c.Mailbox = storage.MailboxID(s.selected.Load())
	}
	s.notice(ctx, c)
}

// recheck looks again at what the user may do in the selected mailbox, after
// something has changed of which he is not the master. Until he knows, he may
// do nothing. Without the right to read, the mailbox is as a deleted one.
func (s *session) recheck(ctx context.Context) error {
	v := s.view
	if v == nil || !s.stale.Swap(false) {
		return nil
	}
	had, wrote := v.rights, !v.readOnly
	v.grant(0)
	p, err := s.home(ctx, v)
	switch {
	case errors.Is(err, storage.ErrNoMailbox), errors.Is(err, errNoPerm):
		return errMailboxGone
	case err != nil:
		s.stale.Store(true)
		return err
	}
	v.home = p
	if v.grant(p.rights); v.rights != had {
		s.tellFlags(v)
		s.tellPermanentFlags(v)
	}
	if wrote == v.readOnly {
		s.out.status("*", "OK", v.access(), "Rights have changed")
	}
	return nil
}

// home returns where the selected mailbox is now, if it can still be read. Its
// owner may have renamed it.
func (s *session) home(ctx context.Context, v *view) (place, error) {
	p, err := s.place(ctx, v.name, storage.RightRead)
	if err == nil && p.box.ID() == v.box.ID() {
		return p, nil
	}
	if ifThere(err) != nil && !errors.Is(err, errNoPerm) {
		return place{}, err
	}
	infos, err := v.home.account.Mailboxes(ctx)
	if err != nil {
		return place{}, err
	}
	for _, info := range infos {
		if info.ID == v.box.ID() {
			l := location{v.home.owner, info.Name, strings.TrimSuffix(v.home.full, v.home.name) + info.Name}
			return s.foreignPlace(ctx, l, storage.RightRead)
		}
	}
	return place{}, storage.ErrNoMailbox
}

// access is the response code for what may be done in the mailbox.
func (v *view) access() string {
	if v.readOnly {
		return "READ-ONLY"
	}
	return "READ-WRITE"
}

// tellPermanentFlags sends which flags the client may change for good.
func (s *session) tellPermanentFlags(v *view) {
	o := &s.out
	o.text("* OK [PERMANENTFLAGS (")
	if !v.examined {
		system, keywords := settable(v.rights)
		o.text(systemTexts[system])
		if keywords {
			for _, k := range v.keywords.names {
				o.text(" " + string(k))
			}
			o.text(` \*`)
		}
	}
	o.text(")] Flags permitted")
	o.end()
}
