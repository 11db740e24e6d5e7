package com.example.hrnet.people

import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min

// In pixels; nothing in a picture is as far away.
private const val LARGEST_COORDINATE = 1e9

/** A box in pixels of the upright image: its upper left corner and its sides. */
data class Box(val x: Double, val y: Double, val width: Double, val height: Double) {
    val area: Double get() = width * height
    val middleX: Double get() = x + width / 2
    val middleY: Double get() = y + height / 2

    /** Whether it could hold a person: sides above 0, and nothing NaN or huge. */
    val holdsPerson: Boolean
        get() {
            val isSensible = arrayOf(x, y, width, height).all { abs(it) <= LARGEST_COORDINATE }
            return isSensible && width > 0 && height > 0
        }

    fun moved(dx: Double, dy: Double) = Box(x + dx, y + dy, width, height)

    /** Intersection over union with another box. */
    fun overlap(other: Box): Double {
        val commonWidth = min(x + width, other.x + other.width) - max(x, other.x)
        val commonHeight = min(y + height, other.y + other.height) - max(y, other.y)
        val common = max(commonWidth, 0.0) * max(commonHeight, 0.0)
        return common / max(area + other.area - common, 1e-16)
    }
}

/** A box and how sure a detector is that it holds a person, from 0 to 1. */
data class ScoredBox(val box: Box, val score: Double)
