package pop3

import (
	"context"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// markTimeout bounds one change of flags.
const markTimeout = time.Minute

// marker sets \Seen on messages that were retrieved. Its goroutine runs while
// there is something to do: what comes while a change is being made durable
// goes into the next one. A failure costs the flag, not the mail.
type marker struct {
	box    storage.Mailbox
	failed func(error)

	mu      sync.Mutex
	due     []imap.UID
	working bool
	idle    sync.WaitGroup
}

func (m *marker) add(uid imap.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.due = append(m.due, uid)
	if !m.working {
		m.working = true
		m.idle.Go(m.work)
	}
}

// wait returns when all that is due is done.
func (m *marker) wait() { m.idle.Wait() }

func (m *marker) work() {
	for {
		uids := m.take()
		if len(uids) == 0 {
			return
		}
		// What was read was read, even if the session is cut meanwhile.
		ctx, cancel := context.WithTimeout(context.Background(), markTimeout)
		_, _, err := m.box.StoreFlags(ctx, storage.FlagUpdate{
			UIDs: imap.UIDSetNum(uids...), Op: imap.StoreFlagsAdd, Flags: storage.Flags{System: storage.Seen},
		})
		cancel()
		if err != nil {
			m.failed(err)
		}
	}
}

func (m *marker) take() []imap.UID {
	m.mu.Lock()
	defer m.mu.Unlock()
	uids := m.due
	m.due = nil
	m.working = len(uids) > 0
	return uids
}
