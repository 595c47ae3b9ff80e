package replication

// InspectValuesWithin is InspectValues with other limits.
var InspectValuesWithin = inspectValues
