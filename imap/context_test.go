package imap

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// results are those of a search as its client believes them to be.
type results struct {
	tag    string
	sorted bool
	byUID  bool
	list   []int
}

var (
	esearchLine = regexp.MustCompile(`^\* ESEARCH \(TAG "(\w+)"\)( UID)?(.*)$`)
	changeItem  = regexp.MustCompile(`(ADDTO|REMOVEFROM) \(([^)]*)\)`)
	allItem     = regexp.MustCompile(`ALL ([0-9:,]+)`)
)

func setNumbers(t *testing.T, set string) (out []int) {
	for part := range strings.SplitSeq(set, ",") {
		first, last, ranged := strings.Cut(part, ":")
		if !ranged {
			last = first
		}
		a, err := strconv.Atoi(first)
		require.NoError(t, err)
		b, err := strconv.Atoi(last)
		require.NoError(t, err)
		for n := a; n <= b; n++ {
			out = append(out, n)
		}
	}
	return out
}

// hear takes in what the server says, line by line.
func (r *results) hear(t *testing.T, untagged string) {
	for line := range strings.SplitSeq(untagged, "\r\n") {
		if v := expungeLine.FindStringSubmatch(line); v != nil && !r.byUID {
			n, _ := strconv.Atoi(v[1])
			require.NotContains(t, r.list, n, "a result is told of before it goes")
			for i := range r.list {
				if r.list[i] > n {
					r.list[i]--
				}
			}
		}
		v := esearchLine.FindStringSubmatch(line)
		if v == nil || v[1] != r.tag {
			continue
		}
		require.Equal(t, r.byUID, v[2] != "")
		if all := allItem.FindStringSubmatch(v[3]); all != nil {
			r.list = setNumbers(t, all[1])
		}
		for _, change := range changeItem.FindAllStringSubmatch(v[3], -1) {
			r.change(t, change[1], strings.Fields(change[2]))
		}
	}
}

func (r *results) change(t *testing.T, how string, words []string) {
	require.Zero(t, len(words)%2)
	for k := 0; k < len(words); k += 2 {
		place, err := strconv.Atoi(words[k])
		require.NoError(t, err)
		for i, n := range setNumbers(t, words[k+1]) {
			switch {
			case how == "ADDTO" && r.sorted:
				r.list = slices.Insert(r.list, place-1+i, n)
			case how == "ADDTO":
				require.NotContains(t, r.list, n)
				r.list = append(r.list, n)
				slices.Sort(r.list)
			case r.sorted:
				require.Equal(t, n, r.list[place-1])
				r.list = slices.Delete(r.list, place-1, place)
			default:
				require.Contains(t, r.list, n)
				r.list = slices.DeleteFunc(r.list, func(x int) bool { return x == n })
			}
		}
	}
}

func TestSearchesAreKeptUpToDate(t *testing.T) {
	for name, open := range openStores {
		t.Run(name, func(t *testing.T) {
			s, addr := newServer(t, func(s *Server) { s.Store = open(t) })
			for range 5 {
				deliver(t, s.Store, plainMessage)
			}
			r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
			c, other := login(t, addr), login(t, addr)
			c.ok("SELECT INBOX")
			other.ok("SELECT INBOX")
			searches := []string{
				"UID SEARCH RETURN (%sALL) UNFLAGGED", "SEARCH RETURN (%sALL) NOT SUBJECT odd UNSEEN",
				"UID SORT RETURN (%sALL) (REVERSE DATE SUBJECT) UTF-8 UNFLAGGED", "SORT RETURN (%sALL) (SUBJECT) UTF-8 OR SEEN FLAGGED",
			}
			var all []*results
			hear := func(untagged string) {
				for _, x := range all {
					x.hear(t, untagged)
				}
			}
			for _, search := range searches {
				x := &results{tag: fmt.Sprintf("t%d", c.tags+1), sorted: strings.Contains(search, "SORT"), byUID: strings.HasPrefix(search, "UID")}
				all = append(all, x)
				hear(c.ok(fmt.Sprintf(search, "UPDATE ")))
			}
			for range 120 {
				randomChange(r, []*client{c, other}[r.IntN(2)], c, hear)
				hear(c.ok("NOOP"))
				k := r.IntN(len(all))
				now := results{tag: fmt.Sprintf("t%d", c.tags+1), byUID: all[k].byUID, sorted: all[k].sorted}
				untagged := c.ok(fmt.Sprintf(searches[k], ""))
				hear(untagged)
				now.hear(t, untagged)
				require.Equal(t, append([]int{}, now.list...), append([]int{}, all[k].list...), searches[k])
			}
		})
	}
}

// randomChange lets a client change something; what c is told of it goes to hear.
func randomChange(r *rand.Rand, who, c *client, hear func(string)) {
	flag, n := []string{`\Seen`, `\Flagged`, `\Deleted`}[r.IntN(3)], 1+r.IntN(12)
	command := fmt.Sprintf("UID STORE %d:%d %sFLAGS (%s)", n, n+r.IntN(4), []string{"+", "-"}[r.IntN(2)], flag)
	switch r.IntN(5) {
	case 0:
		text := fmt.Sprintf("Subject: %s\r\nDate: Mon, %d Mar 2026 10:00:00 +0000\r\n\r\nx\r\n", []string{"odd", "even", "a"}[r.IntN(3)], 1+r.IntN(28))
		command = fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(text), text)
	case 1:
		command = "EXPUNGE"
	}
	untagged := who.ok(command)
	if who == c {
		hear(untagged)
	}
}

func TestIdleTellsOfSearches(t *testing.T) {
	s, addr := newServer(t, nil)
	c := login(t, addr)
	c.ok("SELECT INBOX")
	c.send("u UID SORT RETURN (UPDATE COUNT) (DATE) UTF-8 SUBJECT lunch\r\n")
	c.until("u")
	c.send("i IDLE\r\n")
	require.Equal(t, "+ idling", c.line())
	deliver(t, s.Store, plainMessage)
	require.Equal(t, "* 1 EXISTS", c.line())
	require.Equal(t, "* 1 RECENT", c.line())
	require.Equal(t, `* ESEARCH (TAG "u") UID ADDTO (1 1)`, c.line())
	c.send("DONE\r\n")
	c.until("i")
}
