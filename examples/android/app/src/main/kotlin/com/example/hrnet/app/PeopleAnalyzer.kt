package com.example.hrnet.app

import android.content.res.AssetManager
import androidx.camera.core.ImageProxy
import com.example.hrnet.image.Frame
import com.example.hrnet.models.Limb
import com.example.hrnet.people.Follower
import com.example.hrnet.people.Person
import com.example.hrnet.people.PersonDetector
import com.example.hrnet.people.PoseFinder
import com.example.hrnet.people.ScoredBox
import com.example.hrnet.people.Tracker

private const val NANOSECONDS = 1e9

// Seconds without a frame in which the app was elsewhere, or opened its networks.
private const val PAUSE = 1.0

/**
 * What is to be shown of a frame.
 *
 * @property width The upright frame's, in pixels, as [height].
 * @property times How long everything took, in words.
 */
class Scene(
    val people: List<Person>,
    val limbs: List<Limb>,
    val width: Int,
    val height: Int,
    val isMirrored: Boolean,
    val times: String
)

/**
 * Finds and follows the people in the camera's frames; all on one thread.
 *
 * @param show Takes what was found in each frame.
 * @param fail Takes the sentence why nothing will be found.
 */
class PeopleAnalyzer(
    private val assets: AssetManager,
    private val show: (Scene) -> Unit,
    private val fail: (String) -> Unit
) : AutoCloseable {
    private var models: Models? = null
    private var hasFailed = false
    private var follower: Follower? = null
    private var view = listOf<Any>() // What must not change while people are followed.
    private var last = Double.NEGATIVE_INFINITY
    private var pixels = ByteArray(0)
    private val poseTime = Stopwatch()
    private val detectorTime = Stopwatch()
    private val frameTime = Stopwatch()
    private val interval = Stopwatch()

    /** Takes a frame, and gives it back to the camera. */
    fun analyze(image: ImageProxy, isFront: Boolean) {
        try {
            if (!hasFailed) look(image, isFront)
        } catch (error: Exception) {
            // What drivers throw is not foretold; the app is to say it, not to end.
            hasFailed = true
            fail(error.message ?: error.toString())
        } finally {
            image.close()
        }
    }

    override fun close() {
        models?.close()
        models = null
        hasFailed = true
    }

    private fun look(image: ImageProxy, isFront: Boolean) {
        val models = models ?: Models.open(assets).also { models = it }
        val frame = frame(image)
        val now = listOf<Any>(isFront, frame.degrees, frame.width, frame.height)
        val follower = follower?.takeIf { now == view } ?: newFollower(models)
        if (now == view && frame.seconds <= last) return
        val elapsed = frame.seconds - last
        if (now == view && elapsed < PAUSE) interval.add(elapsed * 1000)
        this.follower = follower
        view = now
        last = frame.seconds
        val people = frameTime.time { follower.look(frame) }
        val limbs = models.pose.skeleton.limbs
        show(Scene(people, limbs, frame.width, frame.height, isFront, times(models, follower)))
    }

    private fun frame(image: ImageProxy): Frame {
        val plane = image.planes[0]
        if (pixels.size != plane.buffer.remaining()) pixels = ByteArray(plane.buffer.remaining())
        plane.buffer.get(pixels)
        return Frame(
            pixels, image.width, image.height, plane.rowStride,
            image.imageInfo.rotationDegrees, image.imageInfo.timestamp / NANOSECONDS
        )
    }

    private fun newFollower(models: Models): Follower {
        val poses = object : PoseFinder {
            override fun find(frame: Frame, boxes: List<ScoredBox>) =
                poseTime.time { models.pose.find(frame, boxes) }
        }
        val detector = models.detector?.let {
            object : PersonDetector {
                override fun find(frame: Frame) = detectorTime.time { it.find(frame) }
            }
        }
        return Follower(poses, detector, Tracker(models.pose.skeleton.sigmas))
    }

    private fun times(models: Models, follower: Follower): String {
        val lines = mutableListOf(
            "%.0f ms a frame, one every %.0f ms".format(
                frameTime.milliseconds, interval.milliseconds
            ),
            "poses: %.0f ms, %s".format(poseTime.milliseconds, models.poseNetwork.processor)
        )
        models.detectorNetwork?.let {
            val calls = follower.detectorCalls
            val time = detectorTime.milliseconds
            lines.add("detector: %.0f ms, %s, %d times".format(time, it.processor, calls))
        }
        return lines.joinToString("\n")
    }
}
