package listener

import (
	"fmt"
	"net/netip"
	"slices"
)

// Action is what a rule does with a connection.
type Action int

// The actions. The zero value admits.
const (
	Allow     Action = iota
	Deny             // close before the first octet
	NextLevel        // let the rules of the service decide
)

// String returns the action's name.
func (a Action) String() string {
	switch a {
	case Allow:
		return "allow"
	case Deny:
		return "deny"
	case NextLevel:
		return "next level"
	}
	return fmt.Sprintf("Action(%d)", int(a))
}

// Rule says what happens to connections from a set of addresses. The zero
// value matches nothing.
type Rule struct {
	Prefixes IPSet
	Action   Action
	Priority int    // the lowest number is asked first
	Limits   Limits // of an Allow rule: its own, instead of the listener's; totals cover the whole set
	Disabled bool   // keeps the rule's settings, matches nothing
}

// Decision is what rules say of an address.
type Decision struct {
	Action Action // Allow or Deny
	Rule   *Rule  // which decided; nil: none matched, the default allows
}

// Decide judges an address by levels of rules, the listener's before the
// service's. On a level the matching rule with the lowest priority number
// decides; of equal ones Deny beats Allow beats NextLevel. A level without a
// match, or whose rule says NextLevel, leaves it to the next; after the last
// one the connection is allowed.
func Decide(addr netip.Addr, levels ...[]Rule) Decision {
	for _, rules := range levels {
		best := bestMatch(addr, rules)
		if best != nil && best.Action != NextLevel {
			return Decision{Action: best.Action, Rule: best}
		}
	}
	return Decision{Action: Allow}
}

func bestMatch(addr netip.Addr, rules []Rule) *Rule {
	var best *Rule
	for i := range rules {
		r := &rules[i]
		if r.Disabled || !r.Prefixes.Contains(addr) {
			continue
		}
		if best == nil || r.Priority < best.Priority || r.Priority == best.Priority && rank(r.Action) < rank(best.Action) {
			best = r
		}
	}
	return best
}

func rank(a Action) int {
	switch a {
	case Deny:
		return 0
	case Allow:
		return 1
	}
	return 2
}

// withoutAllow returns the rules that deny or pass on.
func withoutAllow(rules []Rule) []Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool { return r.Action == Allow })
}
