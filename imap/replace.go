package imap

import (
	"context"
	"errors"
	"log/slog"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// replaceRequest is REPLACE or UID REPLACE (RFC 8508): an APPEND of one message
// and the expunge of another.
type replaceRequest struct {
	appendRequest
	old imap.UID
}

// replaceStream reads and runs REPLACE. Which message is to go is settled
// before the new one is let come.
func replaceStream(kind numKind) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (result, error) {
		r := &replaceRequest{appendRequest: appendRequest{most: 1, replaces: true}}
		defer r.close()
		r.begin(s)
		if err := r.target(kind); err != nil {
			return result{}, r.refused(err)
		}
		if err := r.read(ctx); err != nil {
			return result{}, r.refused(err)
		}
		return result{}, r.replace(ctx)
	}
}

// target reads the number of the message to replace.
func (r *replaceRequest) target(kind numKind) error {
	v := r.s.view
	r.p.space()
	set := numSet{ranges: []imap.SeqRange{{Start: r.p.setNumber()}}}
	set.ranges[0].Stop = set.ranges[0].Start
	if r.p.err != nil {
		return r.p.err
	}
	if err := v.need(moveRights); err != nil {
		return err
	}
	spans, err := v.spans(set, kind)
	switch {
	case err != nil:
		return err
	case len(spans) == 0:
		return no("", "No such message")
	}
	r.old = v.at(spans[0].from).uid
	return nil
}

// replace stores the new message and expunges the old one, as one change where
// the store can. APPENDUID is told before the EXPUNGE, which the updates that
// follow the command tell (RFC 8508 §4.3).
func (r *replaceRequest) replace(ctx context.Context) error {
	uid, err := r.store(ctx)
	if err != nil {
		return toDestination(err)
	}
	r.s.dirty.Store(true)
	r.s.out.status("*", "OK", r.appended(ctx, []imap.UID{uid}), "Replacement message ready")
	return nil
}

func (r *replaceRequest) store(ctx context.Context) (imap.UID, error) {
	from := r.s.view.box
	if replacer, ok := storage.As[storage.Replacer](from); ok && r.dest.ID() == from.ID() {
		return replacer.Replace(ctx, r.old, r.msgs[0])
	}
	uids, err := r.dest.Append(ctx, r.msgs[0])
	if err != nil {
		return 0, err
	}
	gone, err := from.Expunge(ctx, imap.UIDSetNum(r.old))
	if err == nil && len(gone) > 0 {
		return uids[0], nil
	}
	if err == nil || errors.Is(err, storage.ErrNoMailbox) { // that is about the selected one here
		err = storage.ErrNoMessage
	}
	// Nothing may have happened, even when whoever asked is not there any more.
	if _, undone := r.dest.Expunge(context.WithoutCancel(ctx), imap.UIDSetNum(uids...)); undone != nil {
		r.s.log(ctx, slog.LevelError, "replacement could not be taken back", undone, "uid", uids[0])
	}
	return 0, err
}
