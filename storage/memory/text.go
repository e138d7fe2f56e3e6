package memory

import (
	"context"

	"github.com/emersion/go-imap/v2"
)

// TextCandidates returns all messages: they are in memory, so there is no
// index that would be faster than to look at them.
func (m *mailbox) TextCandidates(ctx context.Context, text string) (imap.UIDSet, error) {
	m.account.store.mu.Lock()
	defer m.account.store.mu.Unlock()
	if err := m.ready(ctx); err != nil || m.next == 1 {
		return nil, err
	}
	return imap.UIDSet{{Start: 1, Stop: m.next - 1}}, nil
}
