package local

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

func TestKindsAndListsAreThereAfterAnOpen(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, "store", quiet(fs))
	top := storage.ACL{storage.Viewer.Entry(storage.Anyone)}
	own := storage.ACL{storage.NoAccess.Entry("group:guests"), storage.Editor.Entry("bob")}
	public := storage.PublicAccount("example.test")
	a := accountOf(t, s, public)
	require.NoError(t, a.SetACL(t.Context(), "", top))
	require.NoError(t, a.Create(t.Context(), "Rooms/Blue", storage.NewMailbox{Kind: storage.Calendar}))
	require.NoError(t, a.SetACL(t.Context(), "Rooms/Blue", own))
	require.NoError(t, s.Close())

	s = open(t, "store", quiet(fs))
	a = accountOf(t, s, public)
	own, err := own.Clean()
	require.NoError(t, err)
	chain, err := a.ACLChain(t.Context(), "Rooms/Blue")
	require.NoError(t, err)
	require.Equal(t, []storage.ACL{top, top, own}, chain)
	list, err := a.Mailboxes(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	for _, i := range list {
		require.Equal(t, storage.Calendar, i.Kind)
	}
	require.Empty(t, damages(t, s), "an account of public folders has no INBOX and is sound")
}

// TestCheckFindsDamageOfTheTree breaks kinds, lists and parents, each in a
// store of its own.
func TestCheckFindsDamageOfTheTree(t *testing.T) {
	const user = "@example.test"
	entry := func(identifier string) storage.ACE { return storage.Viewer.Entry(identifier) }
	change := func(name string, change func(*box)) func(*testing.T, *account, *engine.Tx) {
		return func(t *testing.T, a *account, tx *engine.Tx) {
			b, ok, err := getBox(a.s.e, a.id, name)
			require.NoError(t, err)
			require.True(t, ok)
			change(&b)
			tx.Set(nameKey(keyName, a.id, name), b.append(nil))
		}
	}
	listed := func(list ...storage.ACE) func(*testing.T, *account, *engine.Tx) {
		return change("p/c", func(b *box) { b.acl = list })
	}
	for name, c := range map[string]struct {
		damage func(*testing.T, *account, *engine.Tx)
		want   string
	}{
		"kind of the child":  {change("p/c", func(b *box) { b.kind = storage.Tasks }), `wrong-kind: account "@example.test": mailbox "p/c" is for tasks`},
		"kind of the parent": {change("p", func(b *box) { b.kind = storage.Mail }), `mailbox "p/c" is for notes and the one above it for mail`},
		"no such kind":       {change("p/c", func(b *box) { b.kind = 7 }), `mailbox "p/c": damaged record`},
		"kind of INBOX":      {change("INBOX", func(b *box) { b.kind = storage.Journal }), "is for journal"},
		"no parent": {func(_ *testing.T, a *account, tx *engine.Tx) {
			tx.Delete(nameKey(keyName, a.id, "p"))
		}, "no-parent: "},
		"unreadable parent": {func(_ *testing.T, a *account, tx *engine.Tx) {
			tx.Set(nameKey(keyName, a.id, "p"), []byte("x"))
		}, `unreadable-name: account "@example.test": mailbox "p"`},
		"unsorted":    {listed(entry("b"), entry("a")), "bad-list: "},
		"twice":       {listed(entry("a"), entry("a")), "an entry twice"},
		"empty entry": {listed(storage.ACE{Identifier: "a"}), "an empty one"},
		"nobody":      {listed(entry("-a")), "access control list not allowed"},
		"long":        {listed(entry(strings.Repeat("x", storage.MaxIdentifier+1))), "an identifier of 1001 octets"},
		"rights":      {listed(storage.ACE{Identifier: "a", Allow: storage.AllRights + 1}), `mailbox "p/c": damaged record`},
		"of the account": {func(t *testing.T, a *account, tx *engine.Tx) {
			rec, err := a.record(a.s.e)
			require.NoError(t, err)
			rec.acl = storage.ACL{entry("b"), entry("a")}
			tx.Set(accountKey(a.user), rec.append(nil))
		}, `account "@example.test": access control list of the account is not sorted`},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, "store", quiet(vfs.NewMem()))
			a := accountOf(t, s, user)
			require.NoError(t, a.Create(t.Context(), "p/c", storage.NewMailbox{Kind: storage.Notes}))
			require.NoError(t, a.Create(t.Context(), "INBOX/x", storage.NewMailbox{}))
			require.NoError(t, a.SetACL(t.Context(), "p/c", storage.ACL{entry("b"), entry("a")}))
			require.Empty(t, damages(t, s))
			require.NoError(t, s.e.Commit(t.Context(), &engine.Change{Build: func(tx *engine.Tx) error { c.damage(t, a, tx); return nil }}))
			require.Contains(t, strings.Join(damages(t, s), "\n"), c.want)
			require.NoError(t, s.Repair(t.Context(), nil, Repairs{Done: func(d Damage, err error) { require.NoError(t, err, d) }}))
			require.Empty(t, damages(t, s))
		})
	}
}
