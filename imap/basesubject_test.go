package imap

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBaseSubjectFollowsRFC5256(t *testing.T) {
	for _, c := range []struct {
		subject, base string
		marked        bool
	}{
		{"", "", false},
		{"Hello", "Hello", false},
		{" \t hello \t  world \t", "hello world", false},
		{"Re: hello", "hello", true},
		{"RE:re: FW: fwd :hello", "hello", true},
		{"Fw[2]: hello", "hello", true},
		{"re [x] : hello", "hello", true},
		{"hello (fwd)", "hello", true},
		{"hello (FWD) (fwd) ", "hello", true},
		{"(fwd)", "", true},
		{"Re:", "", true},
		{"Re: Re:  ", "", true},
		{"[list] hello", "hello", false},
		{"[list] [more] Re: hello", "hello", true},
		{"Re: [list] Re: [x] hello", "hello", true},
		{"[list]", "[list]", false},
		{"[a] [b]", "[b]", false},
		{"Re: [a] [b] ", "[b]", true},
		{"[fwd: hello]", "hello", true},
		{"[Fwd: [fwd: Re: hello (fwd)] (fwd)]", "hello", true},
		{"[fwd: hello] there", "there", false},
		{"[fwd: [a] b]", "b", true},
		{"[fwd:]", "", true},
		{"[fwd:", "[fwd:", false},
		{"Recall: hello", "Recall: hello", false},
		{"Re hello", "Re hello", false},
		{"[a[b] hello", "[a[b] hello", false},
		{"fwdfwd: x", "fwdfwd: x", false},
		{"f", "f", false},
	} {
		base, marked := baseSubject(c.subject)
		require.Equal(t, c.base, base, "%q", c.subject)
		require.Equal(t, c.marked, marked, "%q", c.subject)
	}
}

func TestBaseSubjectTakesLinearTime(t *testing.T) {
	const n = 1 << 19
	for _, text := range []string{
		strings.Repeat("[]", n), strings.Repeat("[] ", n) + "x", strings.Repeat("[fwd:", n), strings.Repeat("[fwd:", n) + strings.Repeat("]", n),
		strings.Repeat("re [", n), strings.Repeat("re:[", n), strings.Repeat("re:", n), strings.Repeat(" (fwd)", n), strings.Repeat("[", n),
		strings.Repeat("[]re:", n), strings.Repeat("[fwd:[]", n) + strings.Repeat("]", n), strings.Repeat("re [] ", n) + ":",
	} {
		began := time.Now()
		baseSubject(text)
		require.Less(t, time.Since(began), 3*time.Second, "%.20q", text)
	}
}

var (
	modelSpaces  = regexp.MustCompile(`[ \t]+`)
	modelTrailer = regexp.MustCompile(`(?is)(\(fwd\)| )$`)
	modelMark    = `(re|fwd?) *(\[[^\[\]]*\] *)?:`
	modelLeader  = regexp.MustCompile(`(?is)^((\[[^\[\]]*\] *)*` + modelMark + `| )`)
	modelBlob    = regexp.MustCompile(`(?is)^\[[^\[\]]*\] *`)
	modelForward = regexp.MustCompile(`(?is)^\[fwd:(.*)\]$`)
)

// modelBaseSubject is RFC 5256 §2.1 step by step.
func modelBaseSubject(s string) string {
	s = modelSpaces.ReplaceAllString(s, " ")
	for {
		for modelTrailer.MatchString(s) {
			s = modelTrailer.ReplaceAllString(s, "")
		}
		for again := true; again; {
			again = false
			if l := modelLeader.FindString(s); l != "" {
				s, again = s[len(l):], true
			}
			if l := modelBlob.FindString(s); l != "" && len(l) < len(s) {
				s, again = s[len(l):], true
			}
		}
		m := modelForward.FindStringSubmatch(s)
		if m == nil {
			return s
		}
		s = m[1]
	}
}

// FuzzBaseSubject compares with the steps of the RFC, taken one by one.
func FuzzBaseSubject(f *testing.F) {
	for _, seed := range []string{"Re: [a] fwd: [fwd: x (fwd)] (fwd)", "[a][b]re:[c]", "[fwd:[x]]", "re[: x", "[fwd: ] ]", "[fwd:] x]", "re [a] [b] : x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 200 || strings.ContainsAny(text, "\u017f\u212a") { // the model folds them
			return
		}
		if base, _ := baseSubject(text); base != modelBaseSubject(text) {
			t.Fatalf("%q: %q, not %q", text, base, modelBaseSubject(text))
		}
	})
}
