package imap

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// offline is a client that keeps a copy of INBOX while it is away. It believes
// every mod-sequence that it is sent.
type offline struct {
	*client
	quick    bool // QRESYNC, else CONDSTORE
	r        *rand.Rand
	validity string
	highest  uint64
	synced   int            // messages up to this UID were fetched
	flags    map[int]string // by UID
	uids     []int          // by sequence number, while online; 0: not known
}

var (
	vanishedLine = regexp.MustCompile(`^\* VANISHED (\(EARLIER\) )?([0-9:,]+)$`)
	highestCode  = regexp.MustCompile(`\[HIGHESTMODSEQ (\d+)\]`)
	validityCode = regexp.MustCompile(`\[UIDVALIDITY (\d+)\]`)
	modSeqOf     = regexp.MustCompile(`MODSEQ \((\d+)\)`)
	searchLine   = regexp.MustCompile(`^\* SEARCH([0-9 ]*)`)
)

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }

// do runs a command and takes in what is said.
func (o *offline) do(command string) {
	o.t.Helper()
	untagged, answer := o.cmd(command)
	require.Regexp(o.t, `^(OK|NO)`, answer, command)
	untagged = strings.ReplaceAll(untagged, "{0}\r\n", `""`) // one line a response
	for line := range strings.SplitSeq(strings.TrimSuffix(untagged, "\r\n"), "\r\n") {
		o.hear(line)
	}
	o.highestIn(answer)
}

func (o *offline) highestIn(line string) {
	if v := highestCode.FindStringSubmatch(line); v != nil {
		o.highest = uint64(atoi(v[1]))
	}
}

func (o *offline) hear(line string) {
	o.highestIn(line)
	if v := validityCode.FindStringSubmatch(line); v != nil {
		require.Contains(o.t, []string{"", v[1]}, o.validity)
		o.validity = v[1]
	}
	if v := existsLine.FindStringSubmatch(line); v != nil {
		require.GreaterOrEqual(o.t, atoi(v[1]), len(o.uids), line)
		o.uids = append(o.uids, make([]int, atoi(v[1])-len(o.uids))...)
	}
	if v := expungeLine.FindStringSubmatch(line); v != nil {
		require.False(o.t, o.quick, line)
		i := atoi(v[1]) - 1
		delete(o.flags, o.uids[i])
		o.uids = slices.Delete(o.uids, i, i+1)
	}
	if v := vanishedLine.FindStringSubmatch(line); v != nil {
		require.True(o.t, o.quick, line)
		o.vanish(v[2], v[1] == "")
	}
	if v := fetchLine.FindStringSubmatch(line); v != nil {
		o.fetch(line, atoi(v[1])-1, v[2])
	}
}

// vanish forgets messages; now says that they had sequence numbers until now.
func (o *offline) vanish(set string, now bool) {
	for part := range strings.SplitSeq(set, ",") {
		from, to, _ := strings.Cut(part, ":")
		for uid := atoi(from); uid <= max(atoi(from), atoi(to)); uid++ {
			delete(o.flags, uid)
			i := slices.Index(o.uids, uid)
			if now && i < 0 {
				i = slices.Index(o.uids, 0) // one that it did not get to know
			}
			if !now {
				require.Negative(o.t, i, "UID %d is still counted", uid)
				continue
			}
			require.GreaterOrEqual(o.t, i, 0, "UID %d was not there", uid)
			o.uids = slices.Delete(o.uids, i, i+1)
		}
	}
}

func (o *offline) fetch(line string, i int, items string) {
	require.Less(o.t, i, len(o.uids), line)
	if v := uidItem.FindStringSubmatch(items); v != nil {
		require.Contains(o.t, []int{0, atoi(v[1])}, o.uids[i], line)
		o.uids[i] = atoi(v[1])
	}
	flags := flagsItem.FindStringSubmatch(items)
	if flags != nil && o.uids[i] != 0 {
		o.flags[o.uids[i]] = plainFlags(flags[1])
	}
	v := modSeqOf.FindStringSubmatch(items)
	require.True(o.t, v != nil || flags == nil, "flags without MODSEQ: %s", line)
	if v != nil {
		o.highest = max(o.highest, uint64(atoi(v[1])))
	}
}

func plainFlags(s string) string {
	names := slices.Sorted(strings.FieldsSeq(strings.ReplaceAll(s, `\Recent`, "")))
	return strings.Join(names, " ")
}

// connect selects INBOX and learns what happened.
func (o *offline) connect() {
	o.uids = nil
	before := o.highest
	switch {
	case !o.quick:
		o.do("SELECT INBOX (CONDSTORE)")
	case o.validity == "":
		o.do("SELECT INBOX")
	default:
		o.do("SELECT INBOX (QRESYNC (" + o.validity + " " + strconv.FormatUint(before, 10) + o.whatItKnows() + "))")
	}
	if !o.quick {
		o.compare(before)
	}
	o.catchUp()
}

// whatItKnows writes the optional parameters of QRESYNC, or some of them.
func (o *offline) whatItKnows() (text string) {
	known := slices.Sorted(maps.Keys(o.flags))
	if len(known) == 0 {
		return ""
	}
	if o.r.IntN(2) == 0 {
		text = " " + string(appendUIDs[uint32](nil, toUint32(known)))
	}
	if o.r.IntN(2) == 0 {
		var seqs, uids []int
		for i, uid := range known {
			if o.r.IntN(3) == 0 {
				seqs, uids = append(seqs, i+1), append(uids, uid)
			}
		}
		if len(seqs) > 0 {
			text += fmt.Sprintf(" (%s %s)", appendUIDs(nil, toUint32(seqs)), appendUIDs(nil, toUint32(uids)))
		}
	}
	return text
}

func toUint32(ints []int) (out []uint32) {
	for _, n := range ints {
		out = append(out, uint32(n))
	}
	return out
}

// compare is how a client without QRESYNC learns what happened.
func (o *offline) compare(before uint64) {
	if before > 0 && o.synced > 0 {
		at := o.highest
		o.do(fmt.Sprintf("UID FETCH 1:%d (FLAGS) (CHANGEDSINCE %d)", o.synced, before))
		o.highest = max(o.highest, at)
	}
	exist := map[int]bool{}
	untagged := o.ok("UID SEARCH 1:*")
	for line := range strings.SplitSeq(strings.TrimSuffix(untagged, "\r\n"), "\r\n") {
		if v := searchLine.FindStringSubmatch(line); v != nil {
			for _, uid := range strings.Fields(v[1]) {
				exist[atoi(uid)] = true
			}
		} else {
			o.hear(line)
		}
	}
	maps.DeleteFunc(o.flags, func(uid int, _ string) bool { return !exist[uid] })
}

// catchUp fetches messages that are new.
func (o *offline) catchUp() {
	for slices.Contains(o.uids, 0) || o.uids != nil && o.synced == 0 {
		known := slices.Max(append(o.uids, 0))
		o.do(fmt.Sprintf("UID FETCH %d:* (FLAGS MODSEQ)", o.synced+1))
		o.do("FETCH 1:* (UID)")
		if known == 0 && len(o.uids) == 0 {
			return
		}
		if !slices.Contains(o.uids, 0) {
			o.do(fmt.Sprintf("UID FETCH %d:* (FLAGS MODSEQ)", o.synced+1))
			o.synced = max(o.synced, slices.Max(append(o.uids, 0)))
		}
	}
}

// online is what the client does while it is connected.
func (o *offline) online() {
	n := max(1, len(o.uids))
	a, b := 1+o.r.IntN(n), 1+o.r.IntN(n)
	if len(o.uids) == 0 {
		o.do("NOOP")
		return
	}
	flag := []string{`\Seen`, `\Flagged`, `\Deleted`, "$One"}[o.r.IntN(4)]
	commands := []string{
		"NOOP", "EXPUNGE", "CHECK", fmt.Sprintf("FETCH %d:%d (UID FLAGS MODSEQ)", a, b), fmt.Sprintf("UID FETCH %d:* (FLAGS MODSEQ)", a),
		fmt.Sprintf("STORE %d:%d +FLAGS (%s)", a, b, flag), fmt.Sprintf("UID STORE %d -FLAGS (%s)", o.uids[a-1]+1, flag),
		fmt.Sprintf("STORE %d (UNCHANGEDSINCE %d) FLAGS (%s)", a, o.highest, flag), fmt.Sprintf("FETCH %d (UID BODY[]<99.1>)", b),
		fmt.Sprintf("SEARCH MODSEQ %d", o.highest), fmt.Sprintf("MOVE %d Trash", a), fmt.Sprintf("COPY %d INBOX", b), "STATUS INBOX (MESSAGES)",
	}
	o.do(commands[o.r.IntN(len(commands))])
	o.catchUp()
}

// others change INBOX at random, n times.
func others(t *testing.T, box storage.Mailbox, r *rand.Rand, n int) {
	ctx := context.Background()
	for range n {
		st, err := box.Status(ctx)
		require.NoError(t, err)
		uid := imap.UID(1 + r.IntN(int(st.UIDNext)))
		set := imap.UIDSet{{Start: uid, Stop: uid + imap.UID(r.IntN(3))}}
		flags := storage.NewFlags([]imap.Flag{`\Seen`, `\Answered`, `\Deleted`, "$One"}[r.IntN(4)])
		op := []imap.StoreFlagsOp{imap.StoreFlagsAdd, imap.StoreFlagsDel, imap.StoreFlagsSet}[r.IntN(3)]
		switch k := r.IntN(8); {
		case k < 4:
			_, _, err = box.StoreFlags(ctx, storage.FlagUpdate{UIDs: set, Op: op, Flags: flags})
		case k < 6 && st.Messages > 5:
			_, err = box.Expunge(ctx, set)
		default:
			_, err = box.Append(ctx, storage.NewMessage{Body: message.FromBytes([]byte("x\r\n")), Flags: flags})
		}
		require.NoError(t, err)
	}
}

// fresh is what somebody sees who looks for the first time.
func fresh(t *testing.T, addr string) map[int]string {
	c := login(t, addr)
	defer c.conn.Close()
	c.ok("EXAMINE INBOX")
	flags := map[int]string{}
	for line := range strings.SplitSeq(c.ok("UID FETCH 1:* (FLAGS)"), "\r\n") {
		if v := fetchLine.FindStringSubmatch(line); v != nil {
			flags[atoi(uidItem.FindStringSubmatch(line)[1])] = plainFlags(flagsItem.FindStringSubmatch(line)[1])
		}
	}
	return flags
}

// TestOfflineClientsEndWithWhatAFreshFetchShows lets clients work while others
// do, disconnect whenever they like, and come back after more changes.
func TestOfflineClientsEndWithWhatAFreshFetchShows(t *testing.T) {
	stores := maps.Clone(openStores)
	stores["forgetful"] = func(t testing.TB) storage.Store { return forgetfulStore{openStores["memory"](t)} }
	for name, open := range stores {
		for _, quick := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/quick=%v", name, quick), func(t *testing.T) { offlineRounds(t, open(t), quick) })
		}
	}
}

func offlineRounds(t *testing.T, store storage.Store, quick bool) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	_, addr := newServer(t, func(s *Server) { s.Store = store; s.Limits.BadAfter = 1 << 30 })
	account, err := store.Account(t.Context(), "alice")
	require.NoError(t, err)
	box, err := account.Mailbox(t.Context(), storage.Inbox)
	require.NoError(t, err)
	o := &offline{quick: quick, r: rand.New(rand.NewPCG(seed, 1)), flags: map[int]string{}}
	r := rand.New(rand.NewPCG(seed, 2))
	others(t, box, r, 20)
	for round := range 15 {
		o.client = login(t, addr)
		if quick {
			o.ok("ENABLE QRESYNC")
		}
		o.connect()
		require.Equal(t, fresh(t, addr), o.flags, "round %d", round)
		var wg sync.WaitGroup
		wg.Go(func() { others(t, box, r, r.IntN(30)) })
		for range o.r.IntN(20) {
			o.online()
		}
		o.conn.Close() // whatever it was told is all that it knows
		wg.Wait()
		others(t, box, r, r.IntN(20))
	}
}

// forgetfulStore remembers what was expunged only now and then.
type forgetfulStore struct{ storage.Store }

type forgetfulAccount struct{ storage.Account }

type forgetfulMailbox struct{ storage.Mailbox }

func (s forgetfulStore) Account(ctx context.Context, user string) (storage.Account, error) {
	a, err := s.Store.Account(ctx, user)
	return forgetfulAccount{a}, err
}

func (s forgetfulStore) Unwrap() storage.Store { return s.Store }

func (a forgetfulAccount) Mailbox(ctx context.Context, name string) (storage.Mailbox, error) {
	m, err := a.Account.Mailbox(ctx, name)
	if err != nil {
		return nil, err
	}
	return forgetfulMailbox{m}, nil
}

func (a forgetfulAccount) Unwrap() storage.Account { return a.Account }

func (m forgetfulMailbox) Expunged(ctx context.Context, since uint64) (imap.UIDSet, error) {
	if rand.IntN(2) == 0 {
		return nil, storage.ErrResync
	}
	return m.Mailbox.Expunged(ctx, since)
}

func (m forgetfulMailbox) Unwrap() storage.Mailbox { return m.Mailbox }

// countingMailbox counts the messages that it yields.
type countingMailbox struct {
	storage.Mailbox
	yielded int
}

func (m *countingMailbox) Messages(ctx context.Context, since uint64) iter.Seq2[storage.Message, error] {
	return func(yield func(storage.Message, error) bool) {
		for msg, err := range m.Mailbox.Messages(ctx, since) {
			m.yielded++
			if !yield(msg, err) {
				return
			}
		}
	}
}
