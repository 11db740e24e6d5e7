package com.example.hrnet.people

import kotlin.math.PI
import kotlin.math.hypot
import kotlin.math.max
import kotlin.math.min

/**
 * How much the One Euro filter smooths.
 *
 * @property minCutoff The cutoff frequency of a point that rests, in hertz. Lower ones
 *     take away more jitter.
 * @property beta How much the cutoff grows with speed, in hertz for each size of the
 *     person that a point moves in a second. Higher ones take away more lag.
 * @property speedCutoff The cutoff frequency of the speed, in hertz.
 * @property leastScore Keypoints that score at most this are missing.
 * @property sureScore Keypoints that score less than this move their filter by less.
 * @property memory Seconds without a keypoint after which its filter begins anew.
 */
data class Smoothing(
    val minCutoff: Double = 1.0,
    val beta: Double = 8.0,
    val speedCutoff: Double = 1.0,
    val leastScore: Double = 0.2,
    val sureScore: Double = 0.5,
    val memory: Double = 0.5
)

/**
 * The One Euro filter of a person's keypoints: still when slow, prompt when fast.
 *
 * Casiez, Roussel and Vogel, "1 Euro Filter", CHI 2012, algorithm 1. Every keypoint has
 * a filter of its own, which knows the time since the keypoint was last seen, so that
 * the camera's rate may vary.
 */
class OneEuroFilter(private val size: Int, private val settings: Smoothing) {
    private val x = DoubleArray(size)
    private val y = DoubleArray(size)
    private val speedX = DoubleArray(size) // pixels in a second
    private val speedY = DoubleArray(size)
    private val seen = DoubleArray(size) { Double.NEGATIVE_INFINITY } // seconds

    /**
     * Takes the keypoints of a frame, and returns them smoothed.
     *
     * A keypoint that is missing moves as the others do, until it is forgotten.
     *
     * @param seconds When the frame was taken, later than the one before.
     * @param personSize In pixels: the square root of the box's area.
     */
    fun update(given: Keypoints, seconds: Double, personSize: Double): Keypoints {
        val isSeen = BooleanArray(size) {
            given.score[it] > settings.leastScore && isFinite(given, it)
        }
        val isKnown = BooleanArray(size) { seconds - seen[it] <= settings.memory }
        val oldX = x.copyOf()
        val oldY = y.copyOf()
        val followed = (0 until size).filter { isSeen[it] && isKnown[it] }
        for (k in followed) follow(k, given, seconds - seen[k], personSize)
        for (k in 0 until size) {
            if (isSeen[k] && !isKnown[k]) begin(k, given)
        }
        if (followed.isNotEmpty()) {
            val stepX = median(followed.map { x[it] - oldX[it] })
            val stepY = median(followed.map { y[it] - oldY[it] })
            for (k in 0 until size) {
                if (isKnown[k] && !isSeen[k]) {
                    x[k] += stepX
                    y[k] += stepY
                }
            }
        }
        for (k in 0 until size) if (isSeen[k]) seen[k] = seconds
        val isTold = BooleanArray(size) { isSeen[it] || isKnown[it] }
        return Keypoints(
            DoubleArray(size) { if (isTold[it]) x[it] else given.x[it] },
            DoubleArray(size) { if (isTold[it]) y[it] else given.y[it] },
            given.score
        )
    }

    private fun begin(k: Int, given: Keypoints) {
        x[k] = given.x[k]
        y[k] = given.y[k]
        speedX[k] = 0.0
        speedY[k] = 0.0
    }

    private fun follow(k: Int, given: Keypoints, elapsed: Double, personSize: Double) {
        val stepX = given.x[k] - x[k]
        val stepY = given.y[k] - y[k]
        val speedShare = passed(settings.speedCutoff, elapsed)
        speedX[k] += speedShare * (stepX / elapsed - speedX[k])
        speedY[k] += speedShare * (stepY / elapsed - speedY[k])
        val pace = hypot(speedX[k], speedY[k]) / max(personSize, 1.0)
        val trust = min(given.score[k] / settings.sureScore, 1.0)
        val share = trust * passed(settings.minCutoff + settings.beta * pace, elapsed)
        x[k] += share * stepX
        y[k] += share * stepY
    }
}

private fun isFinite(points: Keypoints, k: Int) =
    !points.x[k].isNaN() && !points.x[k].isInfinite() &&
        !points.y[k].isNaN() && !points.y[k].isInfinite()

/** The share of a new value that passes a low-pass filter, after so many seconds. */
private fun passed(cutoff: Double, elapsed: Double): Double {
    val turns = 2 * PI * cutoff * elapsed
    return turns / (turns + 1)
}
