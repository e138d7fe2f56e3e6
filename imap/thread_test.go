package imap

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// letter is a message of a thread test.
type letter struct {
	id, subject string
	references  []string
	minute      int
}

func (l letter) text() string {
	var b strings.Builder
	if l.id != "" {
		fmt.Fprintf(&b, "Message-ID: <%s@x>\r\n", l.id)
	}
	if l.references != nil {
		b.WriteString("References:")
		for _, r := range l.references {
			fmt.Fprintf(&b, "\r\n <%s@x>", r)
		}
		b.WriteString("\r\n")
	}
	date := received.Add(time.Duration(l.minute) * time.Minute)
	fmt.Fprintf(&b, "Subject: %s\r\nDate: %s\r\n\r\nx\r\n", l.subject, date.Format(time.RFC1123Z))
	return b.String()
}

// viewOf returns a session with a view of a mailbox of messages.
func viewOf(t testing.TB, texts ...string) *session {
	t.Helper()
	account, err := memory.New().Account(t.Context(), "alice")
	require.NoError(t, err)
	box, err := account.Mailbox(t.Context(), "INBOX")
	require.NoError(t, err)
	for part := range slices.Chunk(texts, 500) {
		msgs := make([]storage.NewMessage, len(part))
		for i, text := range part {
			msgs[i] = storage.NewMessage{Body: message.FromBytes([]byte(text)), Date: received}
		}
		_, err = box.Append(t.Context(), msgs...)
		require.NoError(t, err)
	}
	v := &view{box: box}
	require.NoError(t, v.load(t.Context()))
	server, client := net.Pipe()
	conn := wire.New(server, wire.Timeouts{})
	t.Cleanup(func() { conn.Close(); conn.Release(); client.Close() })
	s := quietServer(nil).gate().newSession(conn)
	s.view = v
	return s
}

// threadsOf returns what THREAD=REFERENCES says of letters.
func threadsOf(t testing.TB, letters ...letter) string {
	t.Helper()
	texts := make([]string, len(letters))
	for i, l := range letters {
		texts[i] = l.text()
	}
	s := viewOf(t, texts...)
	found := make([]int, len(letters))
	for i := range found {
		found[i] = i
	}
	f, roots, err := byReferences(context.Background(), s.newRun(s.view), found)
	require.NoError(t, err)
	var o output
	f.tell(&o, roots, func(at int32) uint32 { return uint32(at + 1) })
	return string(o.b)
}

// modelThread is a container of the algorithm as RFC 5256 §3 tells it.
type modelThread struct {
	letter   int // -1: a dummy
	parent   *modelThread
	children []*modelThread
}

func (m *modelThread) under(p *modelThread) bool {
	for ; m != nil; m = m.parent {
		if m == p {
			return true
		}
	}
	return false
}

func (m *modelThread) leave() {
	if m.parent != nil {
		m.parent.children = slices.DeleteFunc(m.parent.children, func(c *modelThread) bool { return c == m })
		m.parent = nil
	}
}

func (m *modelThread) enter(p *modelThread) {
	if p != nil && !p.under(m) {
		m.parent = p
		p.children = append(p.children, m)
	}
}

// model threads letters the slow way.
type model struct {
	letters []letter
	all     []*modelThread
	byID    map[string]*modelThread
}

func (m *model) container(id string) *modelThread {
	c := m.byID[id]
	if c == nil {
		c = &modelThread{letter: -1}
		m.byID[id] = c
		m.all = append(m.all, c)
	}
	return c
}

func (m *model) link() {
	m.byID = make(map[string]*modelThread)
	for i, l := range m.letters {
		var last *modelThread
		for _, r := range l.references {
			c := m.container(r)
			if last != nil && c.parent == nil {
				c.enter(last)
			}
			last = c
		}
		id := l.id
		if id == "" || m.byID[id] != nil && m.byID[id].letter >= 0 {
			id = fmt.Sprintf("unique %d", i)
		}
		own := m.container(id)
		own.letter = i
		own.leave()
		own.enter(last)
	}
}

func pruned(list []*modelThread, top bool) (out []*modelThread) {
	for _, c := range list {
		c.children = pruned(c.children, false)
		switch {
		case c.letter >= 0:
			out = append(out, c)
		case len(c.children) == 0:
		case !top || len(c.children) == 1:
			out = append(out, c.children...)
		default:
			out = append(out, c)
		}
	}
	return out
}

func (m *model) first(c *modelThread) int {
	if c.letter >= 0 {
		return c.letter
	}
	return c.children[0].letter
}

func (m *model) sort(list []*modelThread) {
	for _, c := range list {
		m.sort(c.children)
	}
	slices.SortStableFunc(list, func(a, b *modelThread) int {
		i, j := m.first(a), m.first(b)
		return cmp.Or(cmp.Compare(m.letters[i].minute, m.letters[j].minute), cmp.Compare(i, j))
	})
}

func (m *model) subject(c *modelThread) string {
	return strings.ToUpper(modelBaseSubject(m.letters[m.first(c)].subject))
}

func (m *model) reply(c *modelThread) bool {
	return c.letter >= 0 && strings.HasPrefix(m.letters[c.letter].subject, "Re:")
}

func (m *model) group(roots []*modelThread) []*modelThread {
	table := make(map[string]*modelThread)
	for _, c := range roots {
		s := m.subject(c)
		old := table[s]
		if s != "" && (old == nil || old.letter >= 0 && (c.letter < 0 || m.reply(old) && !m.reply(c))) {
			table[s] = c
		}
	}
	var out []*modelThread
	for _, c := range roots {
		s := m.subject(c)
		old := table[s]
		switch {
		case s == "" || old == c:
			out = append(out, c)
		case old.letter < 0 && c.letter < 0:
			old.children = append(old.children, c.children...)
		case old.letter < 0, m.reply(c) && !m.reply(old):
			old.children = append(old.children, c)
		default:
			dummy := &modelThread{letter: -1, children: []*modelThread{old, c}}
			out[slices.Index(out, old)] = dummy
			table[s] = dummy
		}
	}
	return out
}

func (c *modelThread) text() string {
	var b strings.Builder
	if c.letter >= 0 {
		b.WriteString(strconv.Itoa(c.letter + 1))
	}
	switch {
	case len(c.children) == 1:
		b.WriteString(" " + c.children[0].text())
	case len(c.children) > 1:
		if c.letter >= 0 {
			b.WriteByte(' ')
		}
		for _, child := range c.children {
			b.WriteString("(" + child.text() + ")")
		}
	}
	return b.String()
}

func (m *model) threads() string {
	m.link()
	var roots []*modelThread
	for _, c := range m.all {
		if c.parent == nil {
			roots = append(roots, c)
		}
	}
	roots = pruned(roots, true)
	m.sort(roots)
	roots = m.group(roots)
	m.sort(roots)
	var b strings.Builder
	for _, c := range roots {
		b.WriteString("(" + c.text() + ")")
	}
	return b.String()
}

func randomLetters(r *rand.Rand, n int) []letter {
	letters := make([]letter, n)
	for i := range letters {
		l := letter{minute: r.IntN(20), subject: []string{"", "Re: ", "re:"}[r.IntN(2)] + []string{"", "a", "b", "c", "A"}[r.IntN(5)]}
		if r.IntN(10) > 0 {
			l.id = strconv.Itoa(r.IntN(n + 2))
		}
		for range r.IntN(5) {
			l.references = append(l.references, strconv.Itoa(r.IntN(n+2)))
		}
		letters[i] = l
	}
	return letters
}

func TestReferencesAreThreadedAsTheSlowModelDoes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	for range 400 {
		letters := randomLetters(r, 1+r.IntN(14))
		want := (&model{letters: letters}).threads()
		require.Equal(t, want, threadsOf(t, letters...), "seed %d: %+v", seed, letters)
	}
}

func FuzzThread(f *testing.F) {
	f.Add(uint64(1), uint8(5))
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) {
		letters := randomLetters(rand.New(rand.NewPCG(seed, 2)), 1+int(n%20))
		if want, got := (&model{letters: letters}).threads(), threadsOf(t, letters...); got != want {
			t.Fatalf("%s, not %s: %+v", got, want, letters)
		}
	})
}

func TestLongChainsAreThreadedQuickly(t *testing.T) {
	const n = 10_000
	forward, backward, loops := make([]letter, n), make([]letter, n), make([]letter, n)
	for i := range n {
		forward[i] = letter{id: strconv.Itoa(i), references: []string{strconv.Itoa(i - 1)}, minute: i}
		backward[n-1-i] = forward[i]
		loops[i] = letter{id: strconv.Itoa(i), references: []string{"0", strconv.Itoa(n - i), strconv.Itoa(i + 1)}, minute: i}
	}
	for name, letters := range map[string][]letter{"forward": forward, "backward": backward, "loops": loops} {
		began := time.Now()
		got := threadsOf(t, letters...)
		require.Less(t, time.Since(began), 20*time.Second, name)
		require.LessOrEqual(t, nesting(got), maxThreadDepth, name)
		require.Len(t, strings.FieldsFunc(got, func(r rune) bool { return r < '0' || r > '9' }), n, name)
	}
}

func TestDeepThreadsEndInOneRow(t *testing.T) {
	var letters []letter
	for i := range 1000 { // each has the next one and a leaf below it
		letters = append(letters,
			letter{id: strconv.Itoa(i), references: []string{strconv.Itoa(i - 1)}, minute: i},
			letter{id: "leaf" + strconv.Itoa(i), references: []string{strconv.Itoa(i)}, minute: i})
	}
	got := threadsOf(t, letters...)
	require.Equal(t, maxThreadDepth, nesting(got))
	require.Len(t, strings.FieldsFunc(got, func(r rune) bool { return r < '0' || r > '9' }), 2000)
}

func nesting(text string) (deepest int) {
	depth := 0
	for _, c := range text {
		switch c {
		case '(':
			depth++
			deepest = max(deepest, depth)
		case ')':
			depth--
		}
	}
	return deepest
}

func TestMessageIDsAreTakenOutOfAnyField(t *testing.T) {
	for field, want := range map[string][]string{
		"<a@b>":                       {"a@b"},
		"<a@b> junk <c@d><e@f>":       {"a@b", "c@d", "e@f"},
		`<"a"@b> <"a b"@c>`:           {"a@b", "a b@c"},
		"<a@b <c@d>":                  {"c@d"},
		"<a> <@b> <a@> <> a@b":        nil,
		"<a @\tb>":                    {"a@b"},
		`<"a\"b"@c> <"a>b"@c> <"a@b>`: {`a"b@c`, "a>b@c"},
	} {
		require.Equal(t, want, slices.Collect(messageIDs(field)), field)
	}
}
