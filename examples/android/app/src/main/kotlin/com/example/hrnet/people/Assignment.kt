package com.example.hrnet.people

/**
 * Pairs of a row and a column, each at most once, whose similarities sum to most.
 *
 * The Hungarian method with potentials (Kuhn 1955, Munkres 1957), one row after the
 * other. Pairs that are less similar than [least] are none.
 *
 * @return The column of each row, or -1.
 */
fun bestPairs(similarities: Array<DoubleArray>, least: Double): IntArray {
    val rows = similarities.size
    val columns = if (rows == 0) 0 else similarities[0].size
    // A square of costs: rows and columns that are filled up cost nothing.
    val size = maxOf(rows, columns)
    val costs = Array(size) { row ->
        DoubleArray(size) { column ->
            val value = if (row < rows && column < columns) similarities[row][column] else 0.0
            if (value >= least) -value else 0.0
        }
    }
    val rowOf = rowsOfColumns(costs)
    val found = IntArray(rows) { -1 }
    for (column in 0 until columns) {
        val row = rowOf[column]
        if (row < rows && similarities[row][column] >= least) found[row] = column
    }
    return found
}

/** The row of each column of a square, at the least sum of costs. */
private fun rowsOfColumns(costs: Array<DoubleArray>): IntArray {
    val size = costs.size
    // Places count from 1; place 0 stands for the row that is being added.
    val rowPotential = DoubleArray(size + 1)
    val columnPotential = DoubleArray(size + 1)
    val rowOf = IntArray(size + 1)
    for (added in 1..size) {
        rowOf[0] = added
        val before = IntArray(size + 1)
        val slack = DoubleArray(size + 1) { Double.POSITIVE_INFINITY }
        val isVisited = BooleanArray(size + 1)
        var column = 0
        while (rowOf[column] != 0) {
            isVisited[column] = true
            val row = rowOf[column]
            var nearest = 0
            for (next in 1..size) {
                if (isVisited[next]) continue
                val cost =
                    costs[row - 1][next - 1] - rowPotential[row] - columnPotential[next]
                if (cost < slack[next]) {
                    slack[next] = cost
                    before[next] = column
                }
                if (nearest == 0 || slack[next] < slack[nearest]) nearest = next
            }
            val step = slack[nearest]
            for (next in 0..size) {
                if (isVisited[next]) {
                    rowPotential[rowOf[next]] += step
                    columnPotential[next] -= step
                } else {
                    slack[next] -= step
                }
            }
            column = nearest
        }
        while (column != 0) {
            rowOf[column] = rowOf[before[column]]
            column = before[column]
        }
    }
    return IntArray(size) { rowOf[it + 1] - 1 }
}
