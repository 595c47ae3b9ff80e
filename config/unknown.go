package config

import (
	"fmt"
	"slices"
	"strings"
)

// foreign names begin like ours and mean something everywhere: SOURCE_DATE_EPOCH is set where builds are reproducible.
var foreign = map[string]bool{"SOURCE_DATE_EPOCH": true}

// unknownNames reports the names that begin like one of ours and are none: a misspelt variable would otherwise leave
// its default in force, silently. The prefixes are those of the known names up to the first underscore, DEPLOYMENT_
// included.
func unknownNames(env *environment, vars []variable) (faults []string) {
	known, prefixes := map[string]bool{}, map[string]bool{}
	var nearby []string
	for _, v := range vars {
		known[v.name], known[v.name+fileSuffix] = true, true
		nearby = append(nearby, v.name)
		prefix, _, _ := strings.Cut(v.name, "_")
		prefixes[prefix] = true
	}
	for _, v := range vars {
		if strings.HasSuffix(v.name, fileSuffix) { // the file form of a file form has no meaning
			delete(known, v.name+fileSuffix)
		}
	}
	for _, name := range env.names {
		prefix, _, cut := strings.Cut(name, "_")
		if !cut || !prefixes[prefix] || known[name] || foreign[name] || fromKubernetes(name) {
			continue
		}
		faults = append(faults, fmt.Sprintf("%s: there is no such variable; the nearest name is %s", name,
			nearest(name, nearby)))
	}
	slices.Sort(faults)
	return faults
}

// fromKubernetes reports whether the name looks like what Kubernetes puts into every container for each service of the
// namespace: a service called "database" gives DATABASE_PORT, DATABASE_SERVICE_HOST, DATABASE_PORT_5432_TCP_ADDR and
// more.
func fromKubernetes(name string) bool {
	return strings.Contains(name, "_PORT") || strings.Contains(name, "_SERVICE_")
}

// nearest returns the known name with the smallest edit distance to name; the file form's suffix does not count.
func nearest(name string, known []string) string {
	bare, isFile := strings.CutSuffix(name, fileSuffix)
	best := slices.MinFunc(known, func(a, b string) int { return distance(bare, a) - distance(bare, b) })
	if isFile && !strings.HasSuffix(best, fileSuffix) {
		best += fileSuffix
	}
	return best
}

// distance is the number of letters to insert, delete or replace that makes b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
