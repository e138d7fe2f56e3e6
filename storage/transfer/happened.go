package transfer

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// happened looks up whether a batch was stored. Its messages have UIDs in a
// row, from some UID on that was free before; others may have come in before
// and behind them, and some of them may be gone again.
func happened(ctx context.Context, box storage.Mailbox, p *pending) (bool, error) {
	status, err := box.Status(ctx)
	if err != nil {
		return false, err
	}
	there := make(map[imap.UID]print)
	for m, err := range box.Messages(ctx, 0) {
		if err != nil {
			return false, err
		}
		if m.UID >= p.UIDNext {
			there[m.UID] = printOf(m)
		}
	}
	count := imap.UID(len(p.Messages))
	for first := p.UIDNext; first+count <= status.UIDNext; first++ {
		if p.fits(first, there) {
			return true, nil
		}
	}
	return false, nil
}

// fits reports whether the batch can have the UIDs from first on.
func (p *pending) fits(first imap.UID, there map[imap.UID]print) bool {
	seen := false
	for i, want := range p.Messages {
		got, ok := there[first+imap.UID(i)]
		if ok && got != want {
			return false
		}
		seen = seen || ok
	}
	return seen
}
