package storagetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// Durable is a store whose power can be cut.
type Durable struct {
	Store storage.Store
	// Crash returns the store as it is after a power cut at this moment: opened
	// anew on what was durable, with whatever was not durable gone. It is called
	// while the old store is in use. What the old one does from then on must not
	// reach the new one; its methods may fail, but must return. Both are closed
	// by t.Cleanup.
	Crash func() Durable
}

// OpenDurable makes an empty store whose power can be cut.
type OpenDurable func(t *testing.T) Durable

// RunDurable checks, on stores that open makes, that what was acknowledged is
// there after a power cut, whole, and that nothing is half there. Stores that
// promise less, such as those in memory, don't run it.
func RunDurable(t *testing.T, open OpenDurable) {
	for _, group := range []struct {
		name  string
		tests map[string]func(*plug)
	}{
		{"Acknowledged", acknowledgedTests},
		{"Numbers", numberTests},
		{"Whole", wholeTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for name, f := range group.tests {
				t.Run(name, func(t *testing.T) {
					d := open(t)
					f(&plug{&bench{T: t, Store: d.Store}, d.Crash})
				})
			}
		})
	}
}

// plug is a bench whose power can be cut.
type plug struct {
	*bench
	crash func() Durable
}

// cut cuts the power and goes on with what is left. Accounts and mailboxes must
// be opened anew.
func (p *plug) cut() {
	p.Helper()
	d := p.crash()
	p.Store, p.crash = d.Store, d.Crash
}

// open opens a mailbox of alice, which must be there.
func (b *bench) open(name string) *box {
	b.Helper()
	m, err := b.account(alice).Mailbox(b.ctx(), name)
	require.NoError(b, err, name)
	return &box{m, b}
}

// texts returns the contents of all messages of a mailbox, by UID.
func (m *box) texts() (list []string) {
	m.b.Helper()
	for _, uid := range m.uids() {
		list = append(list, m.text(uid))
	}
	return list
}

// picture is all that can be seen of an account, as text. That messages are
// recent is no durable promise.
func (b *bench) picture(user string) string {
	b.Helper()
	var s strings.Builder
	a := b.account(user)
	for _, i := range b.infos(a) {
		fmt.Fprintf(&s, "%q %d %v %v\n", i.Name, i.ID, i.Subscribed, i.Attrs)
		if i.ID == 0 {
			continue
		}
		if notes, ok := storage.As[storage.Annotations](a); ok {
			list, err := notes.Annotations(b.ctx(), i.Name, bob)
			require.NoError(b, err)
			fmt.Fprintf(&s, "  %q\n", list)
		}
		found, err := a.Mailbox(b.ctx(), i.Name)
		require.NoError(b, err)
		m := &box{found, b}
		m.check()
		status := m.status()
		status.Recent = 0
		fmt.Fprintf(&s, "  %+v gone %v\n", status, m.expunged(0))
		for _, msg := range m.list(0) {
			text := m.text(msg.UID)
			require.EqualValues(b, len(text), msg.Size)
			fmt.Fprintf(&s, "  %d %d %v %s %q\n", msg.UID, msg.ModSeq, msg.Flags.Names(), msg.Date.Format(time.RFC3339), text)
		}
	}
	return s.String()
}
