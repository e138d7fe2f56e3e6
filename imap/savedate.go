package imap

import (
	"context"

	"github.com/posthouse-mail/posthouse/storage"
)

// writeSaveDate writes SAVEDATE (RFC 8514 §4.2), NIL when it is not known.
func writeSaveDate(ctx context.Context, m *fetching) error {
	d, _, err := m.beside.saved(ctx, m.view.box, m.entry.uid)
	if err != nil || d.Date.IsZero() {
		m.out.text("SAVEDATE NIL")
		return err
	}
	m.out.text(`SAVEDATE "`)
	m.out.text(d.Date.UTC().Format(internalDate))
	m.out.byte('"')
	return nil
}

// savedOn is the day of the save date, or that of INTERNALDATE where the
// mailbox knows no save dates (RFC 8514 §4.3).
func (c *candidate) savedOn(ctx context.Context) (day, bool, error) {
	d, supported, err := c.beside.saved(ctx, c.view.box, c.entry.uid)
	switch {
	case err != nil:
		return 0, false, err
	case !supported:
		return c.received(ctx)
	}
	return dayOf(d.Date.UTC()), !d.Date.IsZero(), nil
}

// savesDates reports whether the mailbox knows save dates.
func (c *candidate) savesDates() bool {
	_, ok := storage.As[storage.SaveDater](c.view.box)
	return ok
}
