package com.example.hrnet.people

/** The keypoints of one person: in pixels of the upright image, with their scores. */
class Keypoints(val x: DoubleArray, val y: DoubleArray, val score: DoubleArray) {
    val size: Int get() = x.size

    fun moved(dx: Double, dy: Double): Keypoints {
        val xs = DoubleArray(size) { x[it] + dx }
        val ys = DoubleArray(size) { y[it] + dy }
        return Keypoints(xs, ys, score)
    }

    /** The mean score of those above a threshold; 0 if there are none. */
    fun meanScore(threshold: Double): Double {
        val counted = score.filter { it > threshold }
        return if (counted.isEmpty()) 0.0 else counted.sum() / counted.size
    }
}

/**
 * Somebody in a frame.
 *
 * @property box Where the person is, in pixels of the upright image.
 * @property boxScore The detector's.
 * @property score The box's score times that of the pose.
 * @property number Who it is, from 1; 0 while that is not known.
 */
data class Person(
    val box: Box,
    val boxScore: Double,
    val keypoints: Keypoints,
    val score: Double,
    val number: Int = 0
)
