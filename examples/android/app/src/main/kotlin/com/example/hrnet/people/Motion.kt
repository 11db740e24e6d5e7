package com.example.hrnet.people

import kotlin.math.exp
import kotlin.math.max
import kotlin.math.min

// Seconds over which steps are averaged, and in which somebody unseen comes to rest.
private const val MEMORY = 0.25
private const val FADING = 1.0

// Keypoints in common from which their steps are trusted.
private const val FEWEST = 3

/** A step or a distance in pixels. */
data class Step(val x: Double, val y: Double)

/** A velocity that follows the last steps, and fades while nobody is seen. */
class Motion {
    private var velocityX = 0.0 // pixels in a second
    private var velocityY = 0.0
    private var steps = 0

    /** Takes a step that took so many seconds. */
    fun update(step: Step, elapsed: Double) {
        steps += 1
        val gain = max(1.0 / steps, 1 - exp(-elapsed / MEMORY))
        velocityX += gain * (step.x / elapsed - velocityX)
        velocityY += gain * (step.y / elapsed - velocityY)
    }

    /** How far the person will have come after so many seconds. */
    fun step(elapsed: Double): Step {
        val share = FADING * (1 - exp(-elapsed / FADING))
        return Step(velocityX * share, velocityY * share)
    }
}

/**
 * The step of a person between two frames.
 *
 * The median over keypoints, which limbs that swing hardly change; that of the boxes'
 * middles if too few keypoints are seen in both.
 *
 * @param leastScore Keypoints that score at most this do not count.
 */
fun stepBetween(
    before: Keypoints,
    after: Keypoints,
    boxBefore: Box,
    boxAfter: Box,
    leastScore: Double
): Step {
    val common = (0 until before.size).filter {
        min(before.score[it], after.score[it]) > leastScore
    }
    if (common.size < FEWEST) {
        return Step(
            boxAfter.middleX - boxBefore.middleX, boxAfter.middleY - boxBefore.middleY
        )
    }
    return Step(
        median(common.map { after.x[it] - before.x[it] }),
        median(common.map { after.y[it] - before.y[it] })
    )
}

/** The middle of some numbers, or the mean of the two in the middle. */
fun median(values: List<Double>): Double {
    val sorted = values.sorted()
    val middle = sorted.size / 2
    return if (sorted.size % 2 == 1) sorted[middle] else (sorted[middle - 1] + sorted[middle]) / 2
}
