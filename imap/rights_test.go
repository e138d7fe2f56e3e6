package imap

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// needs of commands, as RFC 4314 §4 says. %s is a mailbox of bob that has one
// message.
var rightsOf = []struct {
	command string // after SELECT when it begins with a space
	need    string
	missing string // the answer to who knows of the mailbox
}{
	{"SELECT %s", "r", "NO [NOPERM]"},
	{"EXAMINE %s", "r", "NO [NOPERM]"},
	{"STATUS %s (MESSAGES)", "r", "NO [NOPERM]"},
	{"SUBSCRIBE %s", "l", ""},
	{`CREATE "Other Users/bob/Box/Child"`, "k", "NO [NOPERM]"},
	{"DELETE %s", "x", "NO [NOPERM]"},
	{"GETACL %s", "a", "NO [NOPERM]"},
	{"SETACL %s carol lr", "a", "NO [NOPERM]"},
	{"DELETEACL %s carol", "a", "NO [NOPERM]"},
	{"LISTRIGHTS %s carol", "a", "NO [NOPERM]"},
	{"APPEND %s {1+}\r\nx", "i", "NO [NOPERM]"},
	{" STORE 1 +FLAGS (\\Seen)", "rs", "NO [NOPERM]"},
	{" STORE 1 -FLAGS (\\Seen)", "rs", "NO [NOPERM]"},
	{" STORE 1 +FLAGS (\\Deleted)", "rt", "NO [NOPERM]"},
	{" STORE 1 +FLAGS.SILENT (\\Flagged)", "rw", "NO [NOPERM]"},
	{" UID STORE 1 +FLAGS (word)", "rw", "NO [NOPERM]"},
	{" EXPUNGE", "re", "NO [NOPERM]"},
	{" UID EXPUNGE 1", "re", "NO [NOPERM]"},
	{" MOVE 1 INBOX", "rte", "NO [NOPERM]"},
	{" UID MOVE 1 INBOX", "rte", "NO [NOPERM]"},
	{" REPLACE 1 INBOX {1+}\r\nx", "rte", "NO [NOPERM]"},
	{" UID REPLACE 1 INBOX {1+}\r\nx", "rte", "NO [NOPERM]"},
	{" REPLACE 1 %s {1+}\r\nx", "rtei", "NO [NOPERM]"},
	{" COPY 1 INBOX", "r", ""},
	{" FETCH 1 BODY[]", "r", ""},
	{" SEARCH ALL", "r", ""},
}

const boxOfBob = `"Other Users/bob/Box"`

// withRights returns a session of alice, who has rights on a mailbox of bob.
func withRights(t *testing.T, rights string) *client {
	s, addr := newServer(t, sharing)
	allow(t, s.Store, "bob", "Box", "alice", rights)
	deliverTo(t, s.Store, "bob", "Box", plainMessage)
	return login(t, addr)
}

// TestEveryCommandNeedsItsRights gives all rights but one that is needed, and
// then nothing but what is needed.
func TestEveryCommandNeedsItsRights(t *testing.T) {
	for _, c := range rightsOf {
		run := func(rights, want string) {
			t.Helper()
			a := withRights(t, rights)
			command, selects := strings.CutPrefix(strings.ReplaceAll(c.command, "%s", boxOfBob), " ")
			if selects {
				a.ok("SELECT " + boxOfBob)
			}
			_, answer := a.cmd(command)
			require.True(t, strings.HasPrefix(answer, want), "%s with %q: %s", command, rights, answer)
		}
		run(c.need, "OK ")
		for _, right := range c.need {
			if right == 'r' && strings.HasPrefix(c.command, " ") || c.missing == "" {
				continue // it can't be selected
			}
			run(strings.ReplaceAll(storage.AllRights.String(), string(right), ""), c.missing)
		}
		if !strings.HasPrefix(c.command, " ") && !strings.HasPrefix(c.command, "CREATE") {
			want := "NO [NONEXISTENT]"
			if strings.HasPrefix(c.command, "APPEND") {
				want = "NO [TRYCREATE]"
			}
			others := storage.AllRights.String()
			for _, right := range c.need + "l" {
				others = strings.ReplaceAll(others, string(right), "")
			}
			run(others, want)
		}
	}
}

func TestRenameNeedsRightsOnBothSides(t *testing.T) {
	for rights, want := range map[string][2]string{
		"lx": {"lk", "OK "}, "lrswipktea": {"lk", "NO [NOPERM]"}, "lrx": {"lrswipxtea", "NO [NOPERM]"}, "k": {"k", "NO [NONEXISTENT]"}, "x": {"k", "OK "},
	} {
		s, addr := newServer(t, sharing)
		allow(t, s.Store, "bob", "Box", "alice", rights)
		allow(t, s.Store, "bob", "To", "alice", want[0])
		login(t, addr).fails("RENAME "+boxOfBob+` "Other Users/bob/To/Box"`, want[1])
	}
}

// TestWhatIsDestroyedWithoutARightStays covers what has no answer of its own.
func TestWhatIsDestroyedWithoutARightStays(t *testing.T) {
	a := withRights(t, "lrst")
	a.ok("SELECT " + boxOfBob)
	a.ok(`STORE 1 +FLAGS (\Deleted)`)
	a.ok("CLOSE")
	require.Contains(t, a.ok("STATUS "+boxOfBob+" (MESSAGES DELETED)"), "(MESSAGES 1 DELETED 1)")
	a = withRights(t, "lre")
	a.ok("SELECT " + boxOfBob)
	require.NotContains(t, a.ok("FETCH 1 (BODY[])"), "FLAGS", "no s")
	require.Contains(t, a.ok("STATUS "+boxOfBob+" (UNSEEN)"), "(UNSEEN 1)")
}

func TestStoreOfAllFlagsKeepsThoseThatMayNotBeChanged(t *testing.T) {
	for rights, want := range map[string]string{
		"lrs": `\Deleted \Flagged one two`, "lrt": `\Flagged \Seen one two`, "lrw": `\Answered \Deleted \Seen three two`, "lrsw": `\Answered \Deleted three two`,
		"lrwt": `\Answered \Seen three two`, "lrst": `\Flagged one two`, "lrswt": `\Answered three two`,
	} {
		s, addr := newServer(t, sharing)
		allow(t, s.Store, "bob", "Box", "alice", rights)
		b := dial(t, addr)
		b.ok("LOGIN bob hunter2")
		b.ok(`APPEND Box (\Seen \Deleted \Flagged one two) {1+}` + "\r\nx")
		a := login(t, addr)
		a.ok("SELECT " + boxOfBob)
		told := a.ok(`STORE 1 FLAGS (\Answered three two)`)
		b.ok("EXAMINE Box")
		found := flagsItem.FindStringSubmatch(b.ok("FETCH 1 FLAGS"))[1]
		words := strings.Fields(strings.ReplaceAll(found, `\Recent`, ""))
		require.ElementsMatch(t, strings.Fields(want), words, rights)
		require.Contains(t, strings.NewReplacer(`\Recent `, "", "UID 1 ", "").Replace(told), "FETCH (FLAGS ("+strings.Join(words, " ")+"))")
	}
}

// slowModel says who may do what, by going through everything.
type slowModel struct {
	inherit bool
	boxes   []string                   // of bob
	allow   map[string]map[string]bool // mailbox, then "identifier letter"
	deny    map[string]map[string]bool
}

func (m *slowModel) may(box string, letter byte, identifiers ...string) bool {
	lists := []string{box}
	if m.inherit {
		lists = []string{""}
		for i := range box {
			if box[i] == '/' {
				lists = append(lists, box[:i])
			}
		}
		lists = append(lists, box)
	}
	allowed := false
	for _, list := range lists {
		for _, id := range identifiers {
			if m.deny[list][id+" "+string(letter)] {
				return false
			}
			allowed = allowed || m.allow[list][id+" "+string(letter)]
		}
	}
	return allowed
}

// expect is the beginning of the answer to a command that needs letters.
func (m *slowModel) expect(box, letters string, identifiers ...string) string {
	enough := true
	for i := range len(letters) {
		enough = enough && m.may(box, letters[i], identifiers...)
	}
	switch {
	case enough:
		return "OK "
	case m.may(box, 'l', identifiers...):
		return "NO [NOPERM]"
	}
	return "NO [NONEXISTENT]"
}

// TestRightsAreThoseOfASlowModel changes lists at random and asks what two
// users may do then.
func TestRightsAreThoseOfASlowModel(t *testing.T) {
	for _, mode := range []storage.ACLMode{storage.ACLPlain, storage.ACLInherit} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			s, addr := newServer(t, func(s *Server) {
				sharing(s)
				s.Access = testAccess{mode}
			})
			m := &slowModel{inherit: mode == storage.ACLInherit, boxes: []string{"A", "A/B", "A/B/C", "D"}, allow: map[string]map[string]bool{}, deny: map[string]map[string]bool{}}
			for _, box := range m.boxes {
				allow(t, s.Store, "bob", box, "bob", "")
			}
			r := rand.New(rand.NewPCG(3, uint64(mode)))
			alice, dora := login(t, addr), dial(t, addr)
			dora.ok("LOGIN dora@example.test dodo")
			for range 400 {
				m.change(t, s.Store, r)
				box := m.boxes[r.IntN(len(m.boxes))]
				m.compare(t, r, alice, box, "alice", "anyone", "group:staff")
				m.compare(t, r, dora, box, "dora@example.test", "anyone")
			}
		})
	}
}

// change changes what one identifier may do.
func (m *slowModel) change(t *testing.T, s storage.Store, r *rand.Rand) {
	box := append(m.boxes, "")[r.IntN(len(m.boxes)+1)]
	id := []string{"alice", "dora@example.test", "anyone", "group:staff", "group:none"}[r.IntN(5)]
	letters, table, sign := "", m.allow, ""
	for _, c := range storage.AllRights.String() {
		if r.IntN(3) == 0 {
			letters += string(c)
		}
	}
	if r.IntN(3) == 0 {
		table, sign = m.deny, "-"
	}
	allow(t, s, "bob", box, sign+id, letters)
	if table[box] == nil {
		table[box] = make(map[string]bool)
	}
	for _, c := range storage.AllRights.String() {
		table[box][id+" "+string(c)] = strings.ContainsRune(letters, c)
	}
}

func (m *slowModel) compare(t *testing.T, r *rand.Rand, c *client, box string, identifiers ...string) {
	t.Helper()
	name := `"Other Users/bob/` + box + `"`
	commands := map[string]string{
		"EXAMINE " + name: "r", "STATUS " + name + " (MESSAGES)": "r", "GETACL " + name: "a", "LISTRIGHTS " + name + " carol": "a", "SUBSCRIBE " + name: "l",
	}
	for command, letters := range commands {
		if r.IntN(2) == 0 {
			_, answer := c.cmd(command)
			require.True(t, strings.HasPrefix(answer, m.expect(box, letters, identifiers...)), "%s for %v: %s", command, identifiers, answer)
			c.cmd("UNSELECT") // or lists that change would end the session
		}
	}
	want := ""
	for _, right := range storage.AllRights.String() {
		if m.may(box, byte(right), identifiers...) {
			want += string(right)
		}
	}
	told, answer := c.cmd("MYRIGHTS " + name)
	if strings.ContainsAny(want, "lrikxa") {
		fields := strings.Fields(told)
		require.Equal(t, want, strings.TrimRight(fields[len(fields)-1], "cd"), "%s", name)
	} else {
		require.Contains(t, answer, "NO [NONEXISTENT]")
	}
	listed := c.ok(`LIST "" "Other Users/*"`)
	for _, b := range m.boxes {
		require.Equal(t, m.may(b, 'l', identifiers...), strings.Contains(listed, `"Other Users/bob/`+b+`"`), "%s for %v in %s", b, identifiers, listed)
	}
}
