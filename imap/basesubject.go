package imap

import "strings"

// baseSubject returns what is left of a subject, its encoded words decoded,
// without the marks of replies and forwards (RFC 5256 §2.1), and whether there
// were such marks. It takes linear time: what it has found not to be a mark it
// does not look at again.
func baseSubject(text string) (base string, marked bool) {
	s := subject(oneSpaced(text))
	for {
		marked = s.cutTrailers() || marked
		marked = s.cutLeaders() || marked
		if !s.cutForward() {
			return string(s), marked
		}
		marked = true
	}
}

// oneSpaced turns tabs into spaces and several spaces into one (step 1).
func oneSpaced(text string) string {
	if !strings.Contains(text, "\t") && !strings.Contains(text, "  ") {
		return text
	}
	b := make([]byte, 0, len(text))
	for i := range len(text) {
		c := text[i]
		if c == '\t' {
			c = ' '
		}
		if c != ' ' || len(b) == 0 || b[len(b)-1] != ' ' {
			b = append(b, c)
		}
	}
	return string(b)
}

// subject is what is left of a subject.
type subject string

// cutTrailers removes subj-trailer from the end (step 2).
func (s *subject) cutTrailers() (marked bool) {
	for {
		t := strings.TrimRight(string(*s), " ")
		n := len(t) - len("(fwd)")
		if n < 0 || !strings.EqualFold(t[n:], "(fwd)") {
			*s = subject(t)
			return marked
		}
		*s, marked = subject(t[:n]), true
	}
}

// cutLeaders removes subj-leader, and subj-blob where something is left behind
// it, from the front until neither stands there (steps 3 to 5).
func (s *subject) cutLeaders() (marked bool) {
	for {
		t := strings.TrimLeft(string(*s), " ")
		end, last := blobs(t)
		if n := replyMark(t[end:]); n > 0 {
			*s, marked = subject(t[end+n:]), true
			continue
		}
		if end == len(t) {
			end = last // a blob alone is the subject
		}
		*s = subject(t[end:])
		return marked
	}
}

// cutForward removes "[fwd:" and "]" around the subject (step 6).
func (s *subject) cutForward() bool {
	const header = "[fwd:"
	t := string(*s)
	if len(t) <= len(header) || !strings.EqualFold(t[:len(header)], header) || t[len(t)-1] != ']' {
		return false
	}
	*s = subject(t[len(header) : len(t)-1])
	return true
}

// blobs returns where the subj-blobs end that t begins with, and where the
// last of them begins.
func blobs(t string) (end, last int) {
	for {
		n := blob(t[end:])
		if n == 0 {
			return end, last
		}
		end, last = end+n, end
	}
}

// blob returns the length of the subj-blob that t begins with, 0 when there is none.
func blob(t string) int {
	if t == "" || t[0] != '[' {
		return 0
	}
	i := strings.IndexAny(t[1:], "[]") + 1
	if i == 0 || t[i] == '[' {
		return 0
	}
	for i++; i < len(t) && t[i] == ' '; i++ {
	}
	return i
}

// replyMark returns the length of the subj-refwd that t begins with, 0 when
// there is none.
func replyMark(t string) int {
	n := 0
	for _, word := range []string{"re", "fwd", "fw"} {
		if len(t) >= len(word) && strings.EqualFold(t[:len(word)], word) {
			n = len(word)
			break
		}
	}
	if n == 0 {
		return 0
	}
	for n < len(t) && t[n] == ' ' {
		n++
	}
	n += blob(t[n:])
	if n == len(t) || t[n] != ':' {
		return 0
	}
	return n + 1
}
