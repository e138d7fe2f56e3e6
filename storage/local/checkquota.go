package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// held compares what is kept in memory of what accounts hold with what their
// mailboxes hold, both as they stand between two changes.
func (c *checker) held(ctx context.Context) error {
	var kept map[tree]storage.Quota
	var snap *engine.Snapshot
	err := c.s.commit(ctx, nil, func(tx) error {
		if kept = c.s.held.all(); len(kept) > 0 {
			snap = c.s.e.Snapshot()
		}
		return errNothing
	})
	if errors.Is(err, engine.ErrFailed) { // nothing is kept right or wrong any more
		return nil
	}
	if err != nil || snap == nil {
		return err
	}
	defer snap.Close()
	for a, q := range kept {
		sum, err := sumOf(ctx, snap, a.id)
		if err != nil {
			return err
		}
		if sum != q {
			c.found(DamageHeld, subject{}, fmt.Sprintf("account %q", a.user), "holds %d octets in %d messages in %d mailboxes, and counts %d, %d, %d",
				sum.Bytes, sum.Messages, sum.Mailboxes, q.Bytes, q.Messages, q.Mailboxes)
		}
	}
	return nil
}

// notice checks what the account's record says of its thresholds.
func (t *treeCheck) notice() {
	if rec := &t.rec; !rec.noticesRight() {
		t.found(DamageBadNotice, "is silent up to %d percent after a notice of %d percent at %d", rec.silent, rec.threshold, rec.noticed)
	}
}

// noticesRight reports whether what a record says of thresholds can be.
func (a *accountRecord) noticesRight() bool {
	return a.silent <= a.threshold && a.noticed >= 0 && (a.noticed == 0) == (a.threshold == 0)
}
