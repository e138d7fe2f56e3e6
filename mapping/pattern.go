package mapping

import (
	"regexp"
	"strconv"
	"strings"
)

// domainPattern is a line "*@domain".
type domainPattern struct {
	before int // how many expressions stand before it in the file
	target target
}

// expression is a line "/RE2/".
type expression struct {
	re     *regexp.Regexp
	target target
}

// target is a route whose user may be made of what a pattern matched.
type target struct {
	backend Route
	user    []piece // empty: the user stays as he is
}

// piece is a text, or, when that is empty, a group of the match.
type piece struct {
	text  string
	group int
}

// newTarget reads the user of a route as a template: $1 or ${1} is the first
// of the pattern's groups, $$ a dollar.
func newTarget(r Route, groups int) (target, error) {
	t := target{backend: r}
	rest := r.User
	t.backend.User = ""
	for rest != "" {
		text, after, dollar := strings.Cut(rest, "$")
		if text != "" {
			t.user = append(t.user, piece{text: text})
		}
		if !dollar {
			break
		}
		if strings.HasPrefix(after, "$") {
			t.user, rest = append(t.user, piece{text: "$"}), after[1:]
			continue
		}
		group, n := groupNumber(after)
		if n == 0 || group > groups {
			return target{}, badRoute("user %q: $ stands before the number of one of %d groups, or before $", r.User, groups)
		}
		t.user, rest = append(t.user, piece{group: group}), after[n:]
	}
	return t, nil
}

// groupNumber reads "1" or "{1}" at the start of s and returns how long it is.
func groupNumber(s string) (group, n int) {
	digits, braces := s, 0
	if inner, ok := strings.CutPrefix(s, "{"); ok {
		if digits, _, ok = strings.Cut(inner, "}"); !ok {
			return 0, 0
		}
		braces = 2
	} else {
		digits = s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
	}
	v, err := strconv.ParseUint(digits, 10, 8)
	if err != nil || v == 0 {
		return 0, 0
	}
	return int(v), len(digits) + braces
}

// route makes the route of a name that matched; match holds where each group
// begins and ends, as package regexp has it.
func (t *target) route(name string, match []int) (Route, error) {
	r := t.backend
	if len(t.user) == 0 {
		return r, nil
	}
	var user strings.Builder
	for _, p := range t.user {
		if p.text != "" {
			user.WriteString(p.text)
		} else if from, to := match[2*p.group], match[2*p.group+1]; from >= 0 {
			user.WriteString(name[from:to])
		}
	}
	if r.User = user.String(); r.User == "" || len(r.User) > maxRouteUser {
		return Route{}, ErrNotMapped
	}
	return r, nil
}
