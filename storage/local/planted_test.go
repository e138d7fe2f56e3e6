package local

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// planted is a store to be damaged. INBOX of alice has the messages 1 to 130
// but for 5, which were appended together, and 132, which bob has as well; 131
// is expunged. Her mailboxes Folder and Folder/Sub have three each. Carol has
// three messages of her own, and Old is a name that she uses no more. The
// keeper's two messages are expunged and retained.
type planted struct {
	t                       *testing.T
	fs                      *vfs.MemFS
	s                       *Store
	alice, folder, sub, bob *mailbox
	carol                   *mailbox
	mine                    record // message 132 of alice
	hers                    record // message 2 of carol
	lost                    *kept  // the second message of the keeper
	contents                map[string]int
	boxes                   map[string]boxMemory
}

// boxMemory is what a client remembers of a mailbox.
type boxMemory struct {
	next imap.UID
	mail map[imap.UID]string
}

func plantedOptions(fs vfs.FS) Options {
	o := quiet(fs)
	o.SegmentSize = 16 << 10
	return o
}

func plant(t *testing.T) *planted {
	p := &planted{t: t, fs: vfs.NewMem()}
	p.open()
	p.lost = lostMessage(t, p.s)
	p.alice = inbox(t, p.s, "alice")
	p.append(p.alice, "alice", 130)
	deliver(t, p.s, "gone", "alice")
	deliver(t, p.s, numbered("shared", 1), "alice", "bob")
	require.NoError(t, p.alice.Create(t.Context(), "Folder/Sub", storage.NewMailbox{}))
	p.folder, p.sub = boxOf(t, p.s, "alice", "Folder"), boxOf(t, p.s, "alice", "Folder/Sub")
	for name, id := range map[string]string{"": "group:all", "Folder": "bob"} {
		require.NoError(t, p.alice.SetACL(t.Context(), name, storage.ACL{storage.Viewer.Entry(id)}))
	}
	p.append(p.folder, "folder", 3)
	p.append(p.sub, "sub", 3)
	p.bob = inbox(t, p.s, "bob")
	for i := range 3 {
		deliver(t, p.s, numbered("carol", i+1), "carol")
	}
	p.carol = inbox(t, p.s, "carol")
	require.NoError(t, p.carol.Create(t.Context(), "Old", storage.NewMailbox{}))
	require.NoError(t, p.carol.Delete(t.Context(), "Old"))
	for _, uid := range []imap.UID{131, 5} {
		_, err := p.alice.Expunge(t.Context(), imap.UIDSetNum(uid))
		require.NoError(t, err)
	}
	p.flag(p.alice, "work", imap.UIDRange{Start: 60, Stop: 70})
	p.flag(p.alice, imap.FlagSeen, imap.UIDRange{Start: 1, Stop: 80})
	p.flag(p.alice, imap.FlagFlagged, imap.UIDRange{Start: 129, Stop: 132})
	p.flag(p.carol, imap.FlagDeleted, imap.UIDRange{Start: 2, Stop: 2})
	var err error
	p.mine, err = p.alice.record(t.Context(), 132)
	require.NoError(t, err)
	p.hers, err = p.carol.record(t.Context(), 2)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(damages(t, p.s)) == 0 && !p.has([]byte{keyDoomed}) }, waitLong, waitTick)
	p.contents, p.boxes = p.census()
	return p
}

func numbered(name string, n int) string {
	return fmt.Sprintf("Subject: %s %d\r\n\r\n%s", name, n, strings.Repeat("line\r\n", 20*(n%7)))
}

func (p *planted) open() {
	var err error
	p.s, err = Open("store", plantedOptions(p.fs))
	require.NoError(p.t, err)
}

// reopen opens the store again, as one whose disk was damaged.
func (p *planted) reopen() {
	require.NoError(p.t, p.s.Close())
	p.open()
}

func (p *planted) append(m *mailbox, name string, n int) {
	msgs := make([]storage.NewMessage, n)
	for i := range msgs {
		msgs[i].Body = message.FromBytes([]byte(numbered(name, i+1)))
	}
	_, err := m.Append(p.t.Context(), msgs...)
	require.NoError(p.t, err)
}

func (p *planted) flag(m *mailbox, f imap.Flag, r imap.UIDRange) {
	_, _, err := m.StoreFlags(p.t.Context(), storage.FlagUpdate{UIDs: imap.UIDSet{r}, Op: imap.StoreFlagsAdd, Flags: storage.NewFlags(f)})
	require.NoError(p.t, err)
}

func (p *planted) has(prefix []byte) bool {
	return p.s.e.Scan(p.t.Context(), prefix, []byte{prefix[0] + 1}, func(_, _ []byte) error { return errEnough }) == errEnough
}

// census reads every message that can be read, wherever it is.
func (p *planted) census() (contents map[string]int, boxes map[string]boxMemory) {
	contents, boxes = make(map[string]int), make(map[string]boxMemory)
	ctx := context.Background()
	users, err := usersOf(p.s.e.Scan)
	require.NoError(p.t, err)
	for _, user := range users {
		a, err := p.s.Account(ctx, user)
		require.NoError(p.t, err)
		list, err := a.Mailboxes(ctx)
		require.NoError(p.t, err)
		for _, info := range list {
			if info.ID == 0 {
				continue
			}
			m, err := a.Mailbox(ctx, info.Name)
			require.NoError(p.t, err)
			st, err := m.Status(ctx)
			require.NoError(p.t, err)
			box := boxMemory{st.UIDNext, make(map[imap.UID]string)}
			for msg, err := range m.Messages(ctx, 0) {
				require.NoError(p.t, err)
				text, err := readContent(m, msg.UID)
				if err != nil {
					require.ErrorIs(p.t, err, engine.ErrDamaged)
					continue
				}
				contents[fmt.Sprint(subjectOf(text), msg.Flags.Names())]++
				box.mail[msg.UID] = text
			}
			boxes[fmt.Sprint(info.ID, " ", st.UIDValidity)] = box
		}
	}
	return contents, boxes
}

func readContent(m storage.Mailbox, uid imap.UID) (string, error) {
	body, err := m.Open(context.Background(), uid)
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(message.NewReader(body))
	return string(text), err
}

func subjectOf(text string) string {
	line, _, _ := strings.Cut(text, "\r\n")
	return strings.TrimPrefix(line, "Subject: ")
}

// requireKept requires that everything but what was hit is there as it was,
// and that no UID means another message than before.
func (p *planted) requireKept(hit func(subject string) bool) {
	p.t.Helper()
	contents, boxes := p.census()
	for message, n := range p.contents {
		if !hit(message[:strings.Index(message, "[")]) {
			require.GreaterOrEqual(p.t, contents[message], n, message)
		}
	}
	for name, was := range p.boxes {
		is, ok := boxes[name]
		if !ok {
			continue
		}
		require.GreaterOrEqual(p.t, is.next, was.next, name)
		for uid, text := range is.mail {
			old, ok := was.mail[uid]
			if ok && !hit(subjectOf(old)) {
				require.Equal(p.t, old, text, "%s message %d", name, uid)
			}
			require.True(p.t, ok || uid >= was.next, "%s message %d has the UID of one that was expunged", name, uid)
		}
	}
}

// corrupt changes the index as no change of the store would.
func (p *planted) corrupt(f func(tx *engine.Tx)) {
	require.NoError(p.t, p.s.e.Commit(p.t.Context(), &engine.Change{Build: func(tx *engine.Tx) error { f(tx); return nil }}))
}

// disk changes a file of the closed store.
func (p *planted) disk(name string, f func(octets []byte) []byte) {
	require.NoError(p.t, p.s.Close())
	p.write(name, f)
	p.open()
}

func (p *planted) write(name string, f func(octets []byte) []byte) {
	r, err := p.fs.Open(name)
	require.NoError(p.t, err)
	octets, err := io.ReadAll(r)
	require.NoError(p.t, err)
	require.NoError(p.t, r.Close())
	w, err := p.fs.Create(name, vfs.WriteCategoryUnspecified)
	require.NoError(p.t, err)
	_, err = w.Write(f(octets))
	require.NoError(p.t, err)
	require.NoError(p.t, w.Close())
}

// lostMessage retains two messages and returns the second.
func lostMessage(t *testing.T, s *Store) *kept {
	t.Helper()
	deliver(t, s, numbered("kept", 1), keeper)
	deliver(t, s, numbered("kept", 2), keeper)
	expungeAll(t, inbox(t, s, keeper))
	some, err := accountOf(t, s, keeper).someKept(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, some, 2)
	return &some[1]
}
