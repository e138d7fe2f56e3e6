package local

import (
	"bytes"

	"github.com/posthouse-mail/posthouse/message"
)

// share moves what the prefixes of all targets end with, in whole fields, in
// front of the body: trace headers mostly, which stand in the log once then, and
// not in the index. The body is that of this delivery alone, so it is not for a
// delivery that shares its body with a queue.
func (st *Staged) share() {
	if size(st.d.Body) > 0 {
		st.shared = st.commonFields()
		st.body = message.Join(st.shared, st.d.Body)
	}
}

// commonFields returns the fields that all prefixes end with.
func (st *Staged) commonFields() (common []byte) {
	first := true
	for i := range st.d.Targets {
		switch p := st.d.Targets[i].Prefix; {
		case st.receipts[i].Err != nil:
		case first:
			common, first = p, false
		default:
			common = commonEnd(common, p)
		}
	}
	for len(common) > 0 && !st.beginsField(common) {
		_, common, _ = bytes.Cut(common, []byte("\n"))
	}
	return common
}

// commonEnd returns the longest end that a and b have in common.
func commonEnd(a, b []byte) []byte {
	if bytes.HasSuffix(b, a) {
		return a
	}
	n := 0
	for n < min(len(a), len(b)) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return a[len(a)-n:]
}

// beginsField reports whether a line begins where the end of each prefix
// begins, and that line begins a field.
func (st *Staged) beginsField(end []byte) bool {
	if end[0] == ' ' || end[0] == '\t' {
		return false
	}
	for i := range st.d.Targets {
		p := st.d.Targets[i].Prefix
		if n := len(p) - len(end); st.receipts[i].Err == nil && n > 0 && p[n-1] != '\n' {
			return false
		}
	}
	return true
}

// unclosed is a body that needs no closing.
type unclosed struct{ message.Body }

func (unclosed) Close() error { return nil }
